import type { EpochId, ObjectId, PackId } from '../../../format/bytes.ts'
import type { OBJECT, PART } from '../../../format/envelope.ts'
import type { FRAME, PackHeader } from '../../../format/frame.ts'
import type { ObjectMetadata } from '../../../format/metadata.ts'
import type { WalkStart } from '../../../format/pack-walk.ts'
import type { StoreFault } from '../../object-store.ts'
import type { Drive } from '../drive.ts'
import type { PackOwner } from '../epoch-source.ts'
import type { Place } from '../rows.ts'
import type { SealingKeys } from '../sealed-object.ts'

/**
 * What the store says to a sealing thread and what it answers. The store decides names, order and epochs; the thread reads, hashes,
 * seals, writes and syncs, and answers when the bytes are on stable storage.
 */

/** What a thread needs to know of the job. */
export type SealingOwner = Pick<PackOwner, 'account' | 'job' | 'digest' | 'readBack'>

/** Part of a file that the thread reads itself; it must be what it was when it was looked at. */
export type SourceFile = {
  /** its bytes, a character each (latin1) */
  path: string
  start: number
  length: number
  /** of the whole file */
  size: number
  /** ms since 1970, whole */
  modifiedAt: number
}

export type SealingEpoch = SealingKeys & { frame: Uint8Array }

/** All of an object but its content. `etag` null: 32 hex digits of the content's digest and "-1". */
export type Label = {
  kind: typeof OBJECT | typeof PART
  objectId: ObjectId
  epoch: EpochId
  sequence: number
  committedAt: number
  metadata: Omit<ObjectMetadata, 'digest' | 'etag'> & { etag: string | null }
}

/** `body`: where the content lies in the batch's bytes. */
export type WholeObject = Label & { body: { offset: number; length: number } | SourceFile }

/** A committed object, on stable storage. */
export type Committed = {
  place: Place
  etag: string
  plaintextLength: number
  bodyLength: number
  /** length of its leaf (FORMAT.md §7.1); a batch's leaves lie one after another */
  leafLength: number
}
export type Refused = { fault: StoreFault; message: string }

/** What of a pack is on stable storage, and which epochs have begun in it since the last report. */
export type PackReport = {
  length: number
  head: Uint8Array
  failed: boolean
  /** what failed may be on the medium all the same */
  doubtful: boolean
  epochs: [EpochId, WalkStart][]
}

/** Where a run ended, and the checksum of its last frame. Answers for one pack come in the order of the runs. */
export type Reached = { offset: number; head: Uint8Array }

/** What has been read of a content that arrives as a stream. */
export type StreamEnd = { plaintextLength: number }

export type SealingCalls = {
  /** Creates a pack, its header and its name durable. */
  open: { request: { drive: Drive; header: PackHeader }; reply: PackReport }
  /** Seals and commits objects that are at hand whole: one run, one sync. */
  seal: {
    /** `objects`: WholeObject[] as JSON, `results`: (Committed | Refused)[]: a third of the cost of cloning them */
    request: { pack: PackId; epochs: SealingEpoch[]; bytes: Uint8Array; objects: string }
    reply: { results: string; leaves: Uint8Array; reached: Reached; report: PackReport }
  }
  /** Begins a content of unknown length in a pack of its own. */
  begin: { request: { stream: number; pack: PackId; objectId: ObjectId }; reply: null }
  push: { request: { stream: number; bytes: Uint8Array }; reply: null }
  /** Goes on reading the stream's file, at most `atMost` bytes. @returns what was read; 0 at its end */
  read: { request: { stream: number; file: SourceFile; atMost: number }; reply: number }
  end: { request: { stream: number }; reply: StreamEnd }
  commit: {
    request: { stream: number; epochs: SealingEpoch[]; label: Label }
    reply: { result: Committed; leaf: Uint8Array; reached: Reached; report: PackReport }
  }
  /** Takes back what was written of it. */
  abort: { request: { stream: number }; reply: null }
  /** Appends one frame that is made elsewhere. */
  append: {
    request: {
      pack: PackId
      epochs: SealingEpoch[]
      /** its own frame must stand before this one in the pack */
      epoch: EpochId | null
      type: typeof FRAME.commit | typeof FRAME.tombstone | typeof FRAME.leaves
      payload: Uint8Array
    }
    reply: { offset: number; reached: Reached; report: PackReport }
  }
  /** Nothing more goes into it. */
  close: { request: { pack: PackId }; reply: PackReport }
  /** Drops an epoch's keys. */
  forget: { request: { epoch: EpochId }; reply: null }
}
export type SealingCall = keyof SealingCalls
export type CallMessage = {
  [K in SealingCall]: { id: number; name: K; request: SealingCalls[K]['request'] }
}[SealingCall]
export type ReplyMessage = { id: number; reply: unknown } | { id: number; refused: Refused }

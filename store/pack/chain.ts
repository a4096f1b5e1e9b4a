import type { DriveId, EpochId } from '../../format/bytes.ts'
import { NO_ID } from '../../format/bytes.ts'
import { type Checkpoint, type CheckpointState, signCheckpoint } from '../../format/checkpoint.ts'
import { FRAME } from '../../format/frame.ts'
import type { EncodedLeaf } from '../../format/leaf.ts'
import { Frontier, leafHash } from '../../format/merkle.ts'
import { encodeLeavesFrame } from '../../format/pack-walk.ts'
import { messageHash } from '../../format/signed.ts'
import type { Index } from '../index-store.ts'
import { StoreError } from '../object-store.ts'
import { type Drive, writeCheckpoint } from './drive.ts'
import type { EpochSource, PackOwner } from './epoch-source.ts'
import { leavesChange } from './pack-rows.ts'
import type { PackSet } from './pack-set.ts'

/** Newest checkpoint: what a device remembers apart from the drive. */
export type ChainHead = { number: number; hash: Buffer }
export type Totals = { objects: number; bytes: number }

const LEAVES_A_FRAME = 2000

/** The growing tree and its signed checkpoints. */
export class Chain {
  readonly #owner: PackOwner
  readonly #source: EpochSource
  readonly #packs: PackSet
  readonly #index: Index
  readonly #now: () => number
  readonly #remember: (head: ChainHead) => Promise<void>
  readonly #totals: () => Totals
  /** epochs of this start whose leaves are in the tree */
  readonly #closed = new Set<string>()
  #frontier: Frontier
  #head: ChainHead
  #state: CheckpointState | 'none'
  #lastSequence: number

  constructor(
    owner: PackOwner,
    source: EpochSource,
    packs: PackSet,
    index: Index,
    last: { checkpoint: Checkpoint; hash: Buffer } | null,
    outside: { now: () => number; remember: (head: ChainHead) => Promise<void>; totals: () => Totals },
  ) {
    this.#owner = owner
    this.#source = source
    this.#packs = packs
    this.#index = index
    this.#now = outside.now
    this.#remember = outside.remember
    this.#totals = outside.totals
    this.#frontier = last === null ? Frontier.empty() : Frontier.resume(last.checkpoint.treeSize, last.checkpoint.peaks)
    this.#head =
      last === null ? { number: 0, hash: Buffer.alloc(32) } : { number: last.checkpoint.number, hash: last.hash }
    this.#state = last?.checkpoint.state ?? 'none'
    this.#lastSequence = last?.checkpoint.lastSequence ?? 0
  }

  get head(): ChainHead {
    return this.#head
  }

  get state(): CheckpointState | 'none' {
    return this.#state
  }

  get lastSequence(): number {
    return this.#lastSequence
  }

  /**
   * W4: leaves to every drive and synced, then the checkpoint to every drive, then the device's own memory of it.
   * @returns the signed checkpoint
   */
  async close(leaves: EncodedLeaf[], epoch: EpochId | null, state: CheckpointState): Promise<Buffer> {
    // a checkpoint over a pack whose end is in doubt would hide what a recovery has to find there
    if (this.#packs.doubtful)
      throw new StoreError(
        'damaged',
        'the drive failed while it was written: lock and unlock the device when it is well again',
      )
    const ordered = [...leaves].sort((a, b) => a.sequence - b.sequence)
    const encoded = ordered.map(each => each.bytes)
    const id = epoch ?? (NO_ID as EpochId)
    for (const drive of this.#packs.drives) await this.#writeLeaves(drive, id, encoded)
    // a copy grows, so that a fault leaves tree and chain as they were
    const frontier = Frontier.resume(this.#frontier.size, this.#frontier.peaks)
    for (const leaf of encoded) frontier.append(leafHash(leaf))
    const lastSequence = ordered[ordered.length - 1]?.sequence ?? this.#lastSequence
    const { objects, bytes } = this.#totals()
    const checkpoint: Checkpoint = {
      job: this.#owner.job,
      device: this.#owner.device,
      grantHash: this.#owner.grantHash,
      number: this.#head.number + 1,
      previous: this.#head.hash,
      state,
      createdAt: this.#now(),
      epoch: id,
      treeSize: frontier.size,
      root: frontier.root(),
      peaks: frontier.peaks,
      lastSequence,
      objects,
      bytes,
      drives: this.#packs.drives.map((drive): DriveId => drive.volume.drive).sort(),
      packs: this.#packs.heads(each => each === id || this.#closed.has(each)),
    }
    const signed = await signCheckpoint(checkpoint, this.#source.sign)
    // commit point of the epoch's end: the first drive that has the checkpoint
    for (const drive of this.#packs.drives) await writeCheckpoint(drive, checkpoint.number, signed)
    if (epoch !== null) this.#closed.add(epoch)
    this.#frontier = frontier
    this.#head = { number: checkpoint.number, hash: messageHash(signed) }
    this.#state = state
    this.#lastSequence = lastSequence
    await this.#remember(this.#head)
    return signed
  }

  async #writeLeaves(drive: Drive, epoch: EpochId, encoded: Buffer[]): Promise<void> {
    if (encoded.length === 0) return
    const { pack, done } = await this.#packs.packOn(drive)
    try {
      for (let at = 0; at < encoded.length; at += LEAVES_A_FRAME) {
        const payload = encodeLeavesFrame({
          epoch,
          firstIndex: this.#frontier.size + at,
          leaves: encoded.slice(at, at + LEAVES_A_FRAME),
        })
        const { offset, reached } = await pack.append(FRAME.leaves, payload, null)
        const count = Math.min(LEAVES_A_FRAME, encoded.length - at)
        const place = { pack: pack.id, offset, end: reached.offset, firstIndex: this.#frontier.size + at, count }
        this.#index.write([leavesChange(drive.volume.drive, place)])
      }
    } finally {
      await done()
    }
  }
}

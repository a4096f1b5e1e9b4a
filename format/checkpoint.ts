import { type DeviceId, type DriveId, type EpochId, idBytes, type JobId, type PackId } from './bytes.ts'
import { type CborValue, Fields } from './cbor.ts'
import { CHECKSUM_BYTES } from './frame.ts'
import { HASH_BYTES } from './merkle.ts'
import { parseSigned, type Sign, signMessage, unverifiedFields, verifySigned } from './signed.ts'

/**
 * A signed root over all leaves so far, chained to the one before, with the head of every pack.
 * Chain per (job, device). Only an unbroken chain that ends in `sealed` is taken in without complaint.
 * @see FORMAT.md §7.3
 */
export type Checkpoint = {
  job: JobId
  device: DeviceId
  grantHash: Buffer
  /** 1 for the first of a job on a device */
  number: number
  /** SHA-256 of the whole signed checkpoint before; zeros for the first */
  previous: Buffer
  state: CheckpointState
  createdAt: number
  /** epoch that this checkpoint ends */
  epoch: EpochId
  treeSize: number
  root: Buffer
  /** frontier of the tree, so that it grows on without its leaves */
  peaks: Buffer[]
  lastSequence: number
  /** objects visible (latest versions, without parts), and their plaintext bytes */
  objects: number
  bytes: number
  drives: DriveId[]
  packs: PackHead[]
}
export const CHECKPOINT_STATES = ['epoch', 'closed-by-recovery', 'sealed', 'reopened'] as const
export type CheckpointState = (typeof CHECKPOINT_STATES)[number]

/** `head`: checksum of the last frame before `length`; the chain of checksums makes it stand for all of them. */
export type PackHead = { pack: PackId; drive: DriveId; length: number; head: Buffer }

/** So many heads (99 bytes each) and drives still fit a signed message. */
const MAX_PACKS = 40_000
const MAX_DRIVES = 4096

export function signCheckpoint(checkpoint: Checkpoint, sign: Sign): Promise<Buffer> {
  const payload: { [name: string]: CborValue } = {
    v: 1,
    job: idBytes(checkpoint.job),
    device: idBytes(checkpoint.device),
    grant: checkpoint.grantHash,
    number: checkpoint.number,
    previous: checkpoint.previous,
    state: checkpoint.state,
    created: checkpoint.createdAt,
    epoch: idBytes(checkpoint.epoch),
    size: checkpoint.treeSize,
    root: checkpoint.root,
    peaks: checkpoint.peaks,
    sequence: checkpoint.lastSequence,
    objects: checkpoint.objects,
    bytes: checkpoint.bytes,
    drives: checkpoint.drives.map(idBytes),
    packs: checkpoint.packs.map(each => ({
      id: idBytes(each.pack),
      drive: idBytes(each.drive),
      length: each.length,
      head: each.head,
    })),
  }
  return signMessage('checkpoint', payload, sign)
}

/** @param signer - the device's identity key (SPKI) */
export function verifyCheckpoint(bytes: Uint8Array, signer: Uint8Array): Checkpoint {
  return takeFields(verifySigned(parseSigned(bytes, 'checkpoint'), signer))
}

/** Its signature unjudged: to learn which device it claims to be of. */
export function peekCheckpoint(bytes: Uint8Array): Checkpoint {
  return takeFields(unverifiedFields(parseSigned(bytes, 'checkpoint')))
}

function takeFields(fields: Fields): Checkpoint {
  fields.version(1)
  const checkpoint: Checkpoint = {
    job: fields.id('job'),
    device: fields.id('device'),
    grantHash: fields.bytes('grant', 32),
    number: fields.count('number'),
    previous: fields.bytes('previous', 32),
    state: fields.oneOf('state', CHECKPOINT_STATES),
    createdAt: fields.count('created'),
    epoch: fields.id('epoch'),
    treeSize: fields.count('size'),
    root: fields.bytes('root', HASH_BYTES),
    peaks: fields.list('peaks', 53, (item, what) => new Fields({ item }, what).bytes('item', HASH_BYTES)),
    lastSequence: fields.count('sequence'),
    objects: fields.count('objects'),
    bytes: fields.count('bytes'),
    drives: fields.list('drives', MAX_DRIVES, (item, what) => new Fields({ item }, what).id<DriveId>('item')),
    packs: fields.list('packs', MAX_PACKS, takePack),
  }
  fields.end()
  return checkpoint
}

function takePack(item: CborValue, what: string): PackHead {
  const fields = new Fields(item, what)
  const out: PackHead = {
    pack: fields.id('id'),
    drive: fields.id('drive'),
    length: fields.count('length'),
    head: fields.bytes('head', CHECKSUM_BYTES),
  }
  fields.end()
  return out
}

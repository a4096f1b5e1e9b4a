import type { DeviceId, JobId, PackId } from './bytes.ts'
import { type Checkpoint, verifyCheckpoint } from './checkpoint.ts'
import { FormatError } from './fault.ts'
import { Frontier } from './merkle.ts'
import { messageHash } from './signed.ts'

/**
 * Follows the checkpoints of one job on one device, the first to the last: signed, numbered from 1, each naming the hash of the one before,
 * and nothing that was signed shrinking or leaving.
 * @see FORMAT.md §7.4
 */
export class CheckpointChain {
  readonly #signer: Uint8Array
  #last: Checkpoint | null = null
  #hash: Buffer = Buffer.alloc(32)
  #packs = new Map<PackId, number>()

  /** @param signer - the device's identity key (SPKI) */
  constructor(signer: Uint8Array) {
    this.#signer = signer
  }

  /** @throws FormatError "tampered" - signature, order or hash; "mismatch" - another job or device; "malformed" - it contradicts itself or the one before */
  take(bytes: Uint8Array): Checkpoint {
    const next = verifyCheckpoint(bytes, this.#signer)
    const number = this.#last?.number ?? 0
    if (next.number !== number + 1 || !next.previous.equals(this.#hash))
      throw new FormatError('tampered', `checkpoint ${next.number}: does not follow checkpoint ${number}`)
    if (!Frontier.resume(next.treeSize, next.peaks).root().equals(next.root))
      throw new FormatError('malformed', `checkpoint ${next.number}: its peaks do not give its root`)
    if (this.#last !== null) this.#checkGrowth(this.#last, next)
    const packs = new Map(next.packs.map(each => [each.pack, each.length]))
    for (const [pack, length] of this.#packs)
      if ((packs.get(pack) ?? -1) < length)
        throw new FormatError('malformed', `checkpoint ${next.number}: pack ${pack} is shorter than before, or gone`)
    this.#last = next
    this.#hash = messageHash(bytes)
    this.#packs = packs
    return next
  }

  get last(): Checkpoint | null {
    return this.#last
  }

  /** Hash of the last signed checkpoint; zeros before the first. */
  get head(): Buffer {
    return this.#hash
  }

  get of(): { job: JobId; device: DeviceId } | null {
    return this.#last === null ? null : { job: this.#last.job, device: this.#last.device }
  }

  #checkGrowth(before: Checkpoint, next: Checkpoint): void {
    if (next.job !== before.job || next.device !== before.device)
      throw new FormatError('mismatch', `checkpoint ${next.number}: of another job or device`)
    if (next.treeSize < before.treeSize || next.lastSequence < before.lastSequence)
      throw new FormatError('malformed', `checkpoint ${next.number}: holds less than the one before it`)
    if (next.treeSize === before.treeSize && !next.root.equals(before.root))
      throw new FormatError('malformed', `checkpoint ${next.number}: another root over as many leaves`)
    const reopening = next.state === 'reopened'
    if ((before.state === 'sealed') !== reopening)
      throw new FormatError('malformed', `checkpoint ${next.number}: ${next.state} can not follow ${before.state}`)
  }
}

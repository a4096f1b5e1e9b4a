import { randomBytes } from 'node:crypto'
import { BodySealer, type BodySummary } from '../../format/body.ts'
import { type DeviceId, type DriveId, type JobId, newId, type PackId } from '../../format/bytes.ts'
import { encodeBodyHead, encodeFrame, encodePackHeader, type FrameType } from '../../format/frame.ts'
import { NOW } from './parties.ts'

/** Appends frames as a device does; knows where each body lies. */
export class PackBuilder {
  readonly pack: PackId = newId()
  readonly #pieces: Buffer[] = []
  #previous: Buffer = Buffer.alloc(32)
  length = 0

  constructor(ids: { job: JobId; device: DeviceId; drive: DriveId }) {
    this.#put(encodePackHeader({ pack: this.pack, ...ids, firstSequence: 1, createdAt: NOW }))
  }

  body(bytes: Buffer): number {
    const at = this.length
    this.#put(encodeBodyHead())
    this.#put(bytes)
    return at
  }

  frame(type: Exclude<FrameType, 2>, payload: Buffer): void {
    const { frame, checksum } = encodeFrame(type, this.#previous, payload)
    this.#previous = checksum
    this.#put(frame)
  }

  get head(): Buffer {
    return this.#previous
  }

  bytes(): Buffer {
    return Buffer.concat(this.#pieces)
  }

  #put(piece: Buffer): void {
    this.#pieces.push(piece)
    this.length += piece.length
  }
}

export type Sealed = { body: Buffer; core: Buffer; key: Buffer; summary: BodySummary }

export function sealWhole(plain: Buffer, segmentBytes: number): Sealed {
  const key = randomBytes(32)
  const sealer = new BodySealer(newId(), key, 'fast', segmentBytes)
  const pieces = sealer.push(plain)
  const { sealed, summary } = sealer.finish()
  return { body: Buffer.concat([...pieces, ...sealed]), core: sealer.coreHeader, key, summary }
}

import { type DeviceId, idBytes, type JobId, prefixed } from './bytes.ts'
import type { Fields } from './cbor.ts'
import { FormatError } from './fault.ts'
import { type ReadAt, readEntries } from './read-at.ts'
import { messageHash, parseSigned, type Sign, signMessage, verifySigned } from './signed.ts'

/** One line of a device's life, signed by its identity key and chained to the line before. @see FORMAT.md §10 */
export type CustodyEvent = {
  device: DeviceId
  job: JobId
  number: number
  previous: Buffer
  at: number
  event: CustodyEventName
  detail: Record<string, string>
}
export const CUSTODY_EVENTS = [
  'unlocked',
  'wrong-code',
  'locked',
  'sealed',
  'reopened',
  'recovered',
  'damage',
  'drive-added',
  'clock-jump',
] as const
export type CustodyEventName = (typeof CUSTODY_EVENTS)[number]

export const CUSTODY_EVENT_LIMIT = 16 << 10

export function signCustodyEvent(event: CustodyEvent, sign: Sign): Promise<Buffer> {
  return signMessage(
    'custody-event',
    {
      v: 1,
      device: idBytes(event.device),
      job: idBytes(event.job),
      number: event.number,
      previous: event.previous,
      at: event.at,
      event: event.event,
      detail: event.detail,
    },
    sign,
  )
}

export function verifyCustodyEvent(bytes: Uint8Array, signer: Uint8Array): CustodyEvent {
  const fields = verifySigned(parseSigned(bytes, 'custody-event', CUSTODY_EVENT_LIMIT), signer)
  return takeFields(fields)
}

function takeFields(fields: Fields): CustodyEvent {
  fields.version(1)
  const event: CustodyEvent = {
    device: fields.id('device'),
    job: fields.id('job'),
    number: fields.count('number'),
    previous: fields.bytes('previous', 32),
    at: fields.count('at'),
    event: fields.oneOf('event', CUSTODY_EVENTS),
    detail: fields.texts('detail', 32, 4096),
  }
  fields.end()
  return event
}

/**
 * Follows a log: each event signed by the device, numbered from 1, naming the hash of the one before, all of one device and job.
 * @throws FormatError "tampered" | "mismatch"
 */
export class CustodyChain {
  readonly #signer: Uint8Array
  #of: { device: DeviceId; job: JobId } | null = null
  #previous: Buffer = Buffer.alloc(32)
  #number = 0

  constructor(signer: Uint8Array) {
    this.#signer = signer
  }

  take(bytes: Uint8Array): CustodyEvent {
    const event = verifyCustodyEvent(bytes, this.#signer)
    if (event.number !== this.#number + 1 || !event.previous.equals(this.#previous))
      throw new FormatError('tampered', `custody log: event ${event.number} does not follow event ${this.#number}`)
    this.#of ??= { device: event.device, job: event.job }
    if (event.device !== this.#of.device || event.job !== this.#of.job)
      throw new FormatError('mismatch', `custody log: event ${event.number} is of another device or job`)
    this.#number = event.number
    this.#previous = messageHash(bytes)
    return event
  }

  get head(): { number: number; hash: Buffer } {
    return { number: this.#number, hash: this.#previous }
  }
}

/** One event as it stands in `custody.log`: BE32 length ‖ signed event. */
export function encodeCustodyEntry(event: Uint8Array): Buffer {
  return prefixed(event)
}

/**
 * The signed events of a `custody.log`, in order.
 * @throws FormatError "truncated" | "limit" - at the first entry that is not whole; the entries before it were
 */
export function readCustodyLog(read: ReadAt): AsyncGenerator<Buffer> {
  return readEntries(read, 0, CUSTODY_EVENT_LIMIT, 'custody event')
}

import { type CborValue, encodeCbor } from '../../../format/cbor.ts'
import type { Change, Inputs } from '../../format/vector-readers.ts'

export type Draft = {
  name: string
  inputs: Inputs
  bytes: Buffer
  refused: [why: string, fault: string, change: Change][]
  stored?: Buffer
}

/** Parts of the structures: magic, version, … at an offset, with the fault of a flipped bit there. */
export const flip = (why: string, fault: string, at: number, mask = 1): Draft['refused'][number] => [
  why,
  fault,
  { xor: [[at, mask]] },
]
export const cut = (fault: string): Draft['refused'][number] => ['one byte cut off', fault, { cut: 1 }]
export const longer = (fault: string): Draft['refused'][number] => ['one byte more', fault, { append: '00' }]

/** What every signed structure refuses; `at` is a place within its payload. */
export const signed = (at: number): Draft['refused'] => [
  flip('outer CBOR', 'malformed', 0),
  flip('payload', 'tampered', at, 2),
  flip('signature', 'tampered', -1),
  cut('malformed'),
  longer('malformed'),
]
/** The whole replaced. */
export const hostile = (why: string, fault: string, bytes: Buffer, value: CborValue): Draft['refused'][number] => [
  why,
  fault,
  { cut: bytes.length, append: encodeCbor(value).toString('hex') },
]

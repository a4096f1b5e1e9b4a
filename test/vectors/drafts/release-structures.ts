import type { CborValue } from '../../../format/cbor.ts'

/** Structures that messages of `KeyRelease` have in common, as CBOR maps written out. */
export type Wrong = [why: string, fault: string, value: CborValue]
export type Fields = Record<string, CborValue>

export const id = Buffer.alloc(16, 3)
export const proof = Buffer.from('p')
export const keep = (fields: Fields, left: string): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => name !== left))

export const place = { b: 'b', k: 'k', u: '', n: 0 }
export const partPlace = { ...place, u: 'u', n: 7 }
export const part = { o: id, n: 5, b: 139, i: 1, d: Buffer.alloc(32, 4) }
export const stored = {
  e: Buffer.from('e'),
  c: Buffer.alloc(102, 5),
  a: 'acme',
  j: null,
  p: partPlace,
  r: Buffer.from('r'),
}
export const byDrive = { ...stored, j: id, p: place, r: Buffer.alloc(0) }
export const noList: Wrong = ['no list', 'malformed', {}]
export const something: Wrong = ['something', 'malformed', 1]
/** A message, and what of it must be refused. */
export type Draft = { name?: string; message: string; value: CborValue; refused: Wrong[] }

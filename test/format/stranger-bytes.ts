/** Of the second decoder (`stranger.ts`): FORMAT.md §2. */
import { createDecipheriv, createHash, createHmac } from 'node:crypto'

export const sha = (name: 'sha256' | 'sha384', ...parts: Uint8Array[]): Buffer => {
  const hash = createHash(name)
  for (const part of parts) hash.update(part)
  return hash.digest()
}
export const be32 = (n: number): Buffer => {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(n)
  return out
}
export const be64 = (n: number | bigint): Buffer => {
  const out = Buffer.alloc(8)
  out.writeBigUInt64BE(BigInt(n))
  return out
}
export const lp = (bytes: Uint8Array | string): Buffer =>
  Buffer.concat([be32(Buffer.from(bytes).length), Buffer.from(bytes)])
export const ascii = (text: string): Buffer => Buffer.from(text, 'latin1')
export const u64 = (bytes: Buffer, at: number): number => Number(bytes.readBigUInt64BE(at))
export const demand = (holds: boolean, what: string): void => {
  if (!holds) throw new Error(`stranger: ${what}`)
}

/** §2.6 */
export const expand = (key: Uint8Array, info: Uint8Array, n: number): Buffer =>
  createHmac('sha384', key).update(info).update(Buffer.of(1)).digest().subarray(0, n)
export const label = (purpose: string, ...parts: Uint8Array[]): Buffer =>
  Buffer.concat([ascii(`sealift/v1 ${purpose}`), Buffer.of(0), ...parts])

export function gcmOpen(
  key: Uint8Array,
  nonce: Uint8Array,
  text: Uint8Array,
  tag: Uint8Array,
  aad: Uint8Array,
): Buffer {
  const gcm = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
  gcm.setAAD(aad)
  gcm.setAuthTag(tag)
  return Buffer.concat([gcm.update(text), gcm.final()])
}
export const smallOpen = (key: Uint8Array, sealed: Buffer, aad: Uint8Array): Buffer =>
  gcmOpen(key, sealed.subarray(0, 12), sealed.subarray(12, -16), sealed.subarray(-16), aad)

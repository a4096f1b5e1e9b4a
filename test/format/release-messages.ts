import type { Codec } from '../../format/codec.ts'
import { RELEASE_CALLS } from '../../format/release-calls.ts'

type Both = { ask: Codec<unknown>; answer: Codec<unknown> }

/** Every message of `KeyRelease`: "wrap ask", "wrap answer" and so on. */
export const MESSAGES: { name: string; codec: Codec<unknown> }[] = (
  Object.entries(RELEASE_CALLS) as [string, Both][]
).flatMap(([call, { ask, answer }]) => [
  { name: `${call} ask`, codec: ask },
  { name: `${call} answer`, codec: answer },
])

/** A value as JSON, its bytes in hex. */
export function spelled(value: unknown): string {
  return JSON.stringify(plain(value)) ?? 'undefined'
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(plain)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]))
}

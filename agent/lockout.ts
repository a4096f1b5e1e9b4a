/** Wrong unlock codes: 1 s, doubling, at most 15 min. Pure. */
const FIRST_MS = 1000
const MOST_MS = 15 * 60 * 1000

export type WrongCodes = { count: number; notBefore: number }

/** Ms to wait before a code is judged; a clock set back never makes it longer than the longest. */
export function waitFor(tries: WrongCodes, now: number): number {
  return Math.max(0, Math.min(tries.notBefore - now, MOST_MS))
}

/** The count after one more try, written down before the code is judged. */
export function counted(tries: WrongCodes, now: number): WrongCodes {
  return { count: tries.count + 1, notBefore: now + Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(tries.count, 20)) }
}

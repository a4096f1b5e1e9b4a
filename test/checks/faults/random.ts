import { createHash } from 'node:crypto'

/** Numbers that follow from a seed and a name alone, so that a run can be had again. */
export type Random = {
  /** first ≤ n < end */
  between(first: number, end: number): number
  /** true once in so many */
  oneIn(times: number): boolean
  pick<T>(from: readonly T[]): T
}

/** @param name - what it is for: parts do not disturb each other's numbers */
export function seeded(seed: number, name: string): Random {
  let state = createHash('sha256').update(`${seed}/${name}`).digest().readUInt32LE(0)
  // mulberry32 (public domain): even enough to choose places with
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (first: number, end: number): number => first + Math.floor(next() * (end - first))
  return {
    between,
    oneIn: times => between(0, times) === 0,
    pick(from) {
      const found = from[between(0, from.length)]
      if (found === undefined) throw new Error('nothing to pick from')
      return found
    },
  }
}

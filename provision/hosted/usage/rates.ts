/** Requests per second and at once, in memory: what a restart forgets is a second of it. Pure but for what it holds. */

const NAMES_MAX = 100_000

/** A bucket of tokens a name: it holds one second's worth, and one is taken by each request. */
export class Rates {
  readonly #held = new Map<string, { tokens: number; at: number }>()

  /** @param perSecond - what the bucket holds, and gets a second. @returns seconds to wait; 0: one was taken */
  take(name: string, perSecond: number, now: number): number {
    const most = Math.max(1, perSecond)
    const old = this.#held.get(name) ?? { tokens: most, at: now }
    const tokens = Math.min(most, old.tokens + (Math.max(0, now - old.at) / 1000) * perSecond)
    const enough = tokens >= 1
    this.#held.delete(name) // what was asked for last is forgotten last
    this.#held.set(name, { tokens: enough ? tokens - 1 : tokens, at: now })
    const [oldest] = this.#held.keys()
    if (this.#held.size > NAMES_MAX && oldest !== undefined) this.#held.delete(oldest)
    if (enough) return 0
    return perSecond === 0 ? SOME_SECONDS : Math.max(1, Math.ceil((1 - tokens) / perSecond))
  }

  /** One that was taken for nothing. */
  giveBack(name: string): void {
    const held = this.#held.get(name)
    if (held !== undefined) held.tokens++
  }
}

const SOME_SECONDS = 60

/** How many of a name are under way. */
export class AtOnce {
  readonly #under = new Map<string, number>()

  /** @returns false: there are `most` already */
  enter(name: string, most: number): boolean {
    const there = this.#under.get(name) ?? 0
    if (there >= most) return false
    this.#under.set(name, there + 1)
    return true
  }

  leave(name: string): void {
    const left = (this.#under.get(name) ?? 1) - 1
    if (left > 0) this.#under.set(name, left)
    else this.#under.delete(name)
  }
}

/** A map that forgets what was used longest ago. */
export class Lru<Key, Value> {
  readonly #map = new Map<Key, Value>()
  readonly #most: number
  #forgotten = 0

  constructor(most: number) {
    this.#most = most
  }

  get(key: Key): Value | undefined {
    const value = this.#map.get(key)
    if (value === undefined) return undefined
    this.#map.delete(key)
    this.#map.set(key, value)
    return value
  }

  set(key: Key, value: Value): void {
    this.#map.delete(key)
    this.#map.set(key, value)
    if (this.#map.size <= this.#most) return
    const [oldest] = this.#map.keys()
    if (oldest !== undefined) this.#map.delete(oldest)
  }

  /** Take it before asking the database for what `setUnless` is to keep. */
  get forgotten(): number {
    return this.#forgotten
  }

  /** Keeps nothing when anything was forgotten since: what was read before a change must not be kept after it. */
  setUnless(forgotten: number, key: Key, value: Value): void {
    if (forgotten === this.#forgotten) this.set(key, value)
  }

  delete(key: Key): void {
    this.#forgotten++
    this.#map.delete(key)
  }

  deleteWhere(goes: (key: Key, value: Value) => boolean): void {
    this.#forgotten++
    for (const [key, value] of this.#map) if (goes(key, value)) this.#map.delete(key)
  }
}

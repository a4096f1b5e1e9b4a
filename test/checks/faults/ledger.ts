import { createCipheriv, createHash } from 'node:crypto'

/** Content follows from key and version, so whoever reads a key knows what must be there. One of 32 is streamed, the others arrive whole. */
export function contentOf(key: string, version = 1, largeOneIn = 32): Buffer {
  const seed = createHash('sha256').update(`${key}#${version}`).digest()
  const large = seed.readUInt8(0) % largeOneIn === 0
  const size = large ? 1_300_000 + seed.readUInt16BE(1) : seed.readUInt16BE(1) % 3000
  return createCipheriv('aes-128-ctr', seed.subarray(0, 16), seed.subarray(16)).update(Buffer.alloc(size))
}

type Version = { content: (() => Buffer) | null; acknowledgedAt: number | null }

/**
 * What a client asked for and was told, by key: versions in the order they were begun, one at a time a key. `at` is any number that
 * grows with time; a cut at `at` must keep everything acknowledged up to it.
 */
export class Ledger {
  readonly #keys = new Map<string, Version[]>()
  acknowledged = 0

  /** Before the request goes out. @returns tells the acknowledgement */
  begin(key: string, content: (() => Buffer) | null): (at: number) => void {
    const versions = this.#keys.get(key) ?? []
    const version: Version = { content, acknowledgedAt: null }
    versions.push(version)
    this.#keys.set(key, versions)
    return at => {
      version.acknowledgedAt = at
      this.acknowledged++
    }
  }

  keys(): IterableIterator<string> {
    return this.#keys.keys()
  }

  /** How often the key was begun. */
  versions(key: string): number {
    return this.#keys.get(key)?.length ?? 0
  }

  /** What may be found under the key: the newest version acknowledged by `at`, or any begun after that one. */
  #allowed(key: string, at: number): (Version | null)[] {
    const versions = this.#keys.get(key) ?? []
    const least = versions.findLastIndex(each => each.acknowledgedAt !== null && each.acknowledgedAt <= at)
    return least < 0 ? [null, ...versions] : versions.slice(least)
  }

  /** Whether the key must be there. */
  mustBeThere(key: string, at = Number.POSITIVE_INFINITY): boolean {
    return !this.#allowed(key, at).some(each => each === null || each.content === null)
  }

  /** Which version these bytes are, and which may be there, for a message. */
  describe(key: string, body: Uint8Array, at = Number.POSITIVE_INFINITY): string {
    const versions = this.#keys.get(key) ?? []
    const found = versions.findIndex(each => each.content?.().equals(body) === true)
    const least = versions.findLastIndex(each => each.acknowledgedAt !== null && each.acknowledgedAt <= at)
    return `version ${found + 1} of ${versions.length} found, ${least + 1} was acknowledged`
  }

  /** Whether these bytes may be there. */
  mayHold(key: string, body: Uint8Array, at = Number.POSITIVE_INFINITY): boolean {
    return this.#allowed(key, at).some(each => each?.content?.().equals(body) === true)
  }
}

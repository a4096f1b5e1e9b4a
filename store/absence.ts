/** Bits of a name's hash that are looked at, and the width of the field: at a million names 1 in 10,000 absent ones looks present, at ten million 1 in 20. */
const PROBES = 3
const FIELD_BITS = 26

/**
 * What has certainly not been written: a Bloom filter over names. It never says so of a name that was added; memory does not grow with
 * their number, and is touched only as names are added.
 */
export class Absence {
  #field: Uint32Array | null = null

  add(name: string): void {
    this.#field ??= new Uint32Array(2 ** (FIELD_BITS - 5))
    const [first, step] = hashes(name)
    for (let probe = 0; probe < PROBES; probe++) {
      const bit = (first + Math.imul(probe, step)) >>> (32 - FIELD_BITS)
      this.#field[bit >>> 5] = (this.#field[bit >>> 5] ?? 0) | (1 << (bit & 31))
    }
  }

  /** `false` says nothing. */
  certain(name: string): boolean {
    if (this.#field === null) return true
    const [first, step] = hashes(name)
    for (let probe = 0; probe < PROBES; probe++) {
      const bit = (first + Math.imul(probe, step)) >>> (32 - FIELD_BITS)
      if (((this.#field[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return true
    }
    return false
  }
}

/** Two hashes of 32 bits: FNV-1a and its murmur finish. */
function hashes(name: string): [number, number] {
  let hash = 0x811c9dc5
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193)
  return [mixed(hash, 0x85ebca6b), mixed(hash, 0xc2b2ae35) | 1]
}

function mixed(hash: number, factor: number): number {
  let out = Math.imul(hash ^ (hash >>> 16), factor)
  out = Math.imul(out ^ (out >>> 13), 0x27d4eb2f)
  return out ^ (out >>> 16)
}

import { asBuffer, equalBytes } from './bytes.ts'
import { sha256 } from './digest.ts'
import { FormatError } from './fault.ts'

/** RFC 6962 §2.1 Merkle tree over SHA-256. FORMAT.md §7.2. Nothing here holds more than a path of the tree. */
export const HASH_BYTES = 32

export function leafHash(leaf: Uint8Array): Buffer {
  return sha256(Buffer.concat([Buffer.of(0), leaf]))
}

function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return sha256(Buffer.concat([Buffer.of(1), left, right]))
}

/** Root of the empty tree. */
export function emptyRoot(): Buffer {
  return sha256(Buffer.alloc(0))
}

/** Grows a tree leaf by leaf, holding one hash for each set bit of its size. */
export class Frontier {
  #size: number
  readonly #peaks: Buffer[]

  private constructor(size: number, peaks: Buffer[]) {
    this.#size = size
    this.#peaks = peaks
  }

  static empty(): Frontier {
    return new Frontier(0, [])
  }

  /** @throws FormatError "malformed" - the peaks are not those of a tree of that size */
  static resume(size: number, peaks: Buffer[]): Frontier {
    if (peaks.length !== ones(size) || peaks.some(peak => peak.length !== HASH_BYTES))
      throw new FormatError('malformed', 'tree frontier: does not fit its size')
    return new Frontier(size, [...peaks])
  }

  get size(): number {
    return this.#size
  }

  get peaks(): Buffer[] {
    return [...this.#peaks]
  }

  append(hashOfLeaf: Uint8Array): void {
    let node = asBuffer(hashOfLeaf)
    for (let size = this.#size; size % 2 === 1; size = Math.floor(size / 2)) {
      const left = this.#peaks.pop()
      if (left === undefined) throw new FormatError('malformed', 'tree frontier: too short')
      node = nodeHash(left, node)
    }
    this.#peaks.push(node)
    this.#size++
  }

  root(): Buffer {
    return this.#peaks.length === 0 ? emptyRoot() : this.#peaks.reduceRight((right, left) => nodeHash(left, right))
  }
}

function ones(size: number): number {
  let count = 0
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2
  return count
}

/** Largest power of two smaller than n (n ≥ 2). */
function split(n: number): number {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

/**
 * Audit path of one leaf. Reads the hashes once, in order, holding one frontier for each sibling.
 *
 * @param hashes - all leaf hashes in order
 */
export async function inclusionProof(
  index: number,
  size: number,
  hashes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<Buffer[]> {
  if (index < 0 || index >= size) throw new FormatError('mismatch', `no leaf ${index} in a tree of ${size}`)
  // siblings from the leaf up: half-open ranges of leaves
  const ranges: { from: number; to: number }[] = []
  let from = 0
  let to = size
  while (to - from > 1) {
    const middle = from + split(to - from)
    if (index < middle) {
      ranges.unshift({ from: middle, to })
      to = middle
    } else {
      ranges.unshift({ from, to: middle })
      from = middle
    }
  }
  const frontiers = ranges.map(() => Frontier.empty())
  let at = 0
  for await (const each of hashes) {
    const slot = ranges.findIndex(range => at >= range.from && at < range.to)
    frontiers[slot]?.append(each)
    at++
  }
  if (at !== size) throw new FormatError('truncated', `tree: wanted ${size} leaves, found ${at}`)
  return frontiers.map(frontier => frontier.root())
}

/**
 * RFC 9162 §2.1.3.2.
 * @throws FormatError "tampered" - the path does not lead from this leaf to this root
 */
export function verifyInclusion(
  hashOfLeaf: Uint8Array,
  index: number,
  size: number,
  path: Uint8Array[],
  root: Uint8Array,
): void {
  const fail = (): never => {
    throw new FormatError('tampered', 'inclusion proof: does not lead from this object to the signed root')
  }
  if (index < 0 || index >= size) fail()
  let fn = index
  let sn = size - 1
  let node = asBuffer(hashOfLeaf)
  for (const sibling of path) {
    if (sn === 0) fail()
    if (fn % 2 === 1 || fn === sn) {
      node = nodeHash(sibling, node)
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2)
        sn = Math.floor(sn / 2)
      }
    } else {
      node = nodeHash(node, sibling)
    }
    fn = Math.floor(fn / 2)
    sn = Math.floor(sn / 2)
  }
  if (sn !== 0 || !equalBytes(node, root)) fail()
}

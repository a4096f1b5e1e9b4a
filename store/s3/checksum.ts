import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { crc32c } from '@node-rs/crc32'
import { createCRC64 } from 'hash-wasm'
import type { ChecksumName } from '../object-store.ts'

export const checksumNames: ChecksumName[] = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']

/** Bytes of the raw value. */
export const checksumBytes: Record<ChecksumName, number> = { CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32 }

export type RunningChecksum = { update(bytes: Uint8Array): void; digest(): Buffer }

/** A checksum taken while bytes pass. Asynchronous only because CRC64NVME is WebAssembly. */
export async function startChecksum(name: ChecksumName): Promise<RunningChecksum> {
  switch (name) {
    case 'CRC32':
      return running32((bytes, sum) => crc32(bytes, sum))
    case 'CRC32C':
      return running32((bytes, sum) => crc32c(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), sum))
    case 'CRC64NVME': {
      const crc = await createCRC64('9a6c9329ac4bc9b5')
      crc.init()
      return { update: bytes => void crc.update(bytes), digest: () => Buffer.from(crc.digest('binary')) }
    }
    case 'SHA1':
    case 'SHA256': {
      const hash = createHash(name.toLowerCase())
      return { update: bytes => void hash.update(bytes), digest: () => hash.digest() }
    }
  }
}

/** Of bytes at hand. */
export function crcOf(name: 'CRC32' | 'CRC32C', bytes: Buffer): Buffer {
  const value = Buffer.alloc(4)
  value.writeUInt32BE((name === 'CRC32' ? crc32(bytes) : crc32c(bytes)) >>> 0)
  return value
}

function running32(step: (bytes: Uint8Array, sum: number) => number): RunningChecksum {
  let sum = 0
  return {
    update(bytes) {
      sum = step(bytes, sum)
    },
    digest() {
      const value = Buffer.alloc(4)
      value.writeUInt32BE(sum >>> 0)
      return value
    },
  }
}

/** Reflected polynomials: of CRC-32/ISO-HDLC, CRC-32/ISCSI, CRC-64/NVME. */
const polynomials = { CRC32: 0xedb88320n, CRC32C: 0x82f63b78n, CRC64NVME: 0x9a6c9329ac4bc9b5n }
export type CombinableName = keyof typeof polynomials

export function isCombinable(name: ChecksumName): name is CombinableName {
  return name in polynomials
}

/**
 * The CRC of runs laid end to end, from each run's CRC and length: the register so far is run over as many zero bytes as the next
 * run has, by a matrix over GF(2) (M. Adler's crc32_combine). Parts are mostly of one length: its matrix is made once.
 */
export function combineCrcs(name: CombinableName, runs: readonly { crc: Buffer; size: number }[]): Buffer {
  const width = checksumBytes[name] * 8
  const matrices = new Map<number, bigint[]>()
  let sum = 0n
  for (const [at, { crc, size }] of runs.entries()) {
    const value = BigInt(`0x${crc.toString('hex')}`)
    if (at === 0) {
      sum = value
      continue
    }
    let matrix = matrices.get(size)
    if (!matrix) {
      if (matrices.size > 8) matrices.clear()
      matrix = zeroRun(polynomials[name], width, size)
      matrices.set(size, matrix)
    }
    sum = times(matrix, sum) ^ value
  }
  return Buffer.from(sum.toString(16).padStart(width / 4, '0'), 'hex')
}

/** What `size` zero bytes do to each bit of the register. */
function zeroRun(polynomial: bigint, width: number, size: number): bigint[] {
  let power = [polynomial, ...Array.from({ length: width - 1 }, (_, bit) => 1n << BigInt(bit))]
  let result = Array.from({ length: width }, (_, bit) => 1n << BigInt(bit))
  for (let bits = BigInt(size) * 8n; bits > 0n; bits >>= 1n) {
    if (bits & 1n) result = result.map(row => times(power, row))
    power = power.map(row => times(power, row))
  }
  return result
}

function times(matrix: readonly bigint[], vector: bigint): bigint {
  let sum = 0n
  for (let at = 0, rest = vector; rest > 0n; at++, rest >>= 1n) if (rest & 1n) sum ^= matrix[at] ?? 0n
  return sum
}

import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Calls that can be made to fail: see shim.c. */
export const CALLS = { write: 1, sync: 2, name: 4, read: 8, cut: 16 } as const
export const ERRNO = { EIO: 5, ENOSPC: 28 } as const

export type Arming = {
  /** of CALLS, added up */
  kinds: number
  error: keyof typeof ERRNO
  /** counted from 1 from now on */
  from: number
  /** last one that fails; absent: all from `from` on */
  to?: number
}

/** Makes system calls of a process fail, on the files below one directory, from now on or at a chosen one. */
export type Shim = {
  /** for the process that is to have it */
  environment: Record<string, string>
  arm(arming: Arming): void
  /** only counts from now on */
  watch(kinds: number): void
  disarm(): void
  /** since it was armed: calls of those kinds, those that failed, the last of these */
  seen(): { count: number; failed: number; last: string }
  close(): void
}

/** struct control */
const OFFSET = { kinds: 0, error: 4, from: 8, to: 16, count: 24, failed: 32, last: 40, end: 136 } as const

/** @param root - calls on files below it are meant */
export function openShim(directory: string, root: string): Shim {
  const library = join(directory, 'shim.so')
  const control = join(directory, 'shim.control')
  const source = fileURLToPath(new URL('./shim.c', import.meta.url))
  execFileSync('gcc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'])
  writeFileSync(control, Buffer.alloc(OFFSET.end))
  const file = openSync(control, 'r+')
  // the file is mapped by the other side: what is written here is seen there at once
  const set = (kinds: number, error: number, from: bigint, to: bigint): void => {
    const bytes = Buffer.alloc(OFFSET.end)
    bytes.writeUInt32LE(error, OFFSET.error)
    bytes.writeBigUInt64LE(from, OFFSET.from)
    bytes.writeBigUInt64LE(to, OFFSET.to)
    writeSync(file, bytes, 0, OFFSET.end, 0)
    // last: from here on it counts
    bytes.writeUInt32LE(kinds, OFFSET.kinds)
    writeSync(file, bytes, 0, OFFSET.error, 0)
  }
  const read = (): Buffer => {
    const bytes = Buffer.alloc(OFFSET.end)
    readSync(file, bytes, 0, OFFSET.end, 0)
    return bytes
  }
  return {
    environment: { LD_PRELOAD: library, FAULT_ROOT: root, FAULT_CONTROL: control },
    arm: ({ kinds, error, from, to }) =>
      set(kinds, ERRNO[error], BigInt(from), to === undefined ? 2n ** 63n : BigInt(to)),
    watch: kinds => set(kinds, 0, 0n, 0n),
    disarm() {
      writeSync(file, Buffer.alloc(4), 0, 4, OFFSET.kinds)
    },
    seen() {
      const bytes = read()
      return {
        count: Number(bytes.readBigUInt64LE(OFFSET.count)),
        failed: Number(bytes.readBigUInt64LE(OFFSET.failed)),
        last: bytes.subarray(OFFSET.last).toString('latin1').split('\0')[0] ?? '',
      }
    },
    close: () => closeSync(file),
  }
}

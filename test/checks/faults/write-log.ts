import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/**
 * The log that QEMU's `blklogwrites` filter writes, in the format of Linux's dm-log-writes: a super block of one sector, then per entry
 * one sector of head and, for a write, its data. An entry is in the log before the request it is of is answered.
 *
 * @see QEMU block/blklogwrites.c, Linux Documentation/admin-guide/device-mapper/log-writes.rst
 */
export type LogEntry = {
  kind: 'write' | 'flush' | 'discard'
  /** forced to the medium by itself */
  fua: boolean
  /** on the device, bytes */
  offset: number
  bytes: number
  /** in the log file: where this entry begins, and where its data */
  start: number
  data: number
}

const MAGIC = 0x6a736677736872n
const VERSION = 1n
const FLAG = { flush: 1n, fua: 2n, discard: 4n }
const HEAD_BYTES = 32

/** All entries of a log, in order. */
export function readWriteLog(path: string): LogEntry[] {
  const file = openSync(path, 'r')
  try {
    const head = Buffer.alloc(HEAD_BYTES)
    readSync(file, head, 0, HEAD_BYTES, 0)
    if (head.readBigUInt64LE(0) !== MAGIC || head.readBigUInt64LE(8) !== VERSION)
      throw new Error(`${path}: no log of writes`)
    const count = Number(head.readBigUInt64LE(16))
    const sector = head.readUInt32LE(24)
    const { size } = fstatSync(file)
    const entries: LogEntry[] = []
    for (let start = sector; entries.length < count && start < size; ) {
      readSync(file, head, 0, HEAD_BYTES, start)
      const flags = head.readBigUInt64LE(16)
      const bytes = Number(head.readBigUInt64LE(8)) * sector
      const discard = (flags & FLAG.discard) !== 0n
      const flush = (flags & FLAG.flush) !== 0n
      entries.push({
        kind: discard ? 'discard' : bytes === 0 && flush ? 'flush' : 'write',
        fua: (flags & FLAG.fua) !== 0n,
        offset: Number(head.readBigUInt64LE(0)) * sector,
        bytes,
        start,
        data: start + sector,
      })
      start += sector + (discard ? 0 : bytes)
    }
    return entries
  } finally {
    closeSync(file)
  }
}

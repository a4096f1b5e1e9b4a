import { constants } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  CUSTODY_EVENTS,
  CustodyChain,
  type CustodyEventName,
  encodeCustodyEntry,
  readCustodyLog,
  signCustodyEvent,
} from '../format/custody.ts'
import { FormatError } from '../format/fault.ts'
import type { Sign } from '../format/signed.ts'
import { DRIVE } from '../format/volume.ts'
import { syncDirectory } from '../store/durable.ts'
import type { Drive } from '../store/pack/drive.ts'
import type { PackOwner } from '../store/pack/epoch-source.ts'
import { onMedium } from '../store/pack/write-fault.ts'

/** The device's custody log: on every drive, each event signed, chained and durable when `note` resolves. */
export type CustodyLog = {
  note: (event: CustodyEventName, detail: Record<string, string>, at?: number) => Promise<void>
}

/**
 * Reads and checks the longest log of the drives and brings the others up to it; a torn last event is cut off, anything else is refused.
 * @throws FormatError "tampered"
 */
export async function openCustodyLog(
  drives: Drive[],
  owner: PackOwner,
  sign: Sign,
  now: () => number,
): Promise<CustodyLog> {
  let chain = new CustodyChain(owner.identity)
  let log: Buffer = Buffer.alloc(0)
  for (const drive of drives) {
    const follower = new CustodyChain(owner.identity)
    const found = await readLog(drive)
    const whole = await followEvents(found, event => follower.take(event))
    if (whole < log.length) continue
    log = found.subarray(0, whole)
    chain = follower
  }
  let length = log.length
  for (const drive of drives) {
    const found = await readLog(drive)
    const same = found.length >= length && found.subarray(0, length).equals(log)
    if (!same || found.length > length) await writeDurable(drive, log, 0)
  }
  let last: Promise<void> = Promise.resolve()
  const append = async (event: CustodyEventName, detail: Record<string, string>, at: number): Promise<void> => {
    const { number, hash } = chain.head
    const signed = await signCustodyEvent(
      { device: owner.device, job: owner.job, number: number + 1, previous: hash, at, event, detail },
      sign,
    )
    const entry = encodeCustodyEntry(signed)
    // at its place, not at the end: what a write that failed left there is written over
    for (const drive of drives) await writeDurable(drive, entry, length)
    // only an event that every drive has is one that the next may name
    chain.take(signed)
    length += entry.length
  }
  return {
    note(event, detail, at = now()) {
      last = last.catch(() => undefined).then(() => append(event, detail, at))
      return last
    },
  }
}

const pathOf = (drive: Drive): string => join(drive.path, DRIVE.custody)

async function readLog(drive: Drive): Promise<Buffer> {
  try {
    return await readFile(pathOf(drive))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return Buffer.alloc(0)
    throw error
  }
}

/** @returns length of the whole events; a torn one at the end is not among them */
async function followEvents(log: Buffer, take: (event: Buffer) => void): Promise<number> {
  const events = readCustodyLog(async (offset, length) => log.subarray(offset, offset + length))
  for (let whole = 0; ; ) {
    try {
      const next = await events.next()
      if (next.done === true) return whole
      const end = whole + encodeCustodyEntry(next.value).length
      // a power cut may have kept the length of the file and lost the bytes of its last event
      if (end === log.length && isBlank(next.value)) return whole
      take(next.value)
      whole = end
    } catch (error) {
      if (error instanceof FormatError && (error.fault === 'truncated' || isBlank(log.subarray(whole)))) return whole
      throw error
    }
  }
}

const isBlank = (bytes: Uint8Array): boolean => bytes.every(byte => byte === 0)

/** Writes at that offset and ends the file behind it. @throws StoreError "full" | "damaged" */
async function writeDurable(drive: Drive, bytes: Buffer, offset: number): Promise<void> {
  await onMedium(pathOf(drive), async () => {
    const file = await open(pathOf(drive), constants.O_WRONLY | constants.O_CREAT, 0o644)
    try {
      for (let at = 0; at < bytes.length; )
        at += (await file.write(bytes, at, bytes.length - at, offset + at)).bytesWritten
      await file.truncate(offset + bytes.length)
      await file.sync()
    } finally {
      await file.close()
    }
    await syncDirectory(drive.path)
  })
}

export function custodyEventName(text: string): CustodyEventName | null {
  return CUSTODY_EVENTS.find(each => each === text) ?? null
}

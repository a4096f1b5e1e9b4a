import { open, readFile, truncate } from 'node:fs/promises'
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

/** The device's custody log: on every drive, each event signed, chained and durable when `note` resolves. */
export type CustodyLog = {
  note: (event: CustodyEventName, detail: Record<string, string>, at?: number) => Promise<void>
}

/**
 * Reads and checks the log of the first drive; a torn last event is cut off, anything else is refused.
 * @throws FormatError "tampered"
 */
export async function openCustodyLog(
  drives: Drive[],
  owner: PackOwner,
  sign: Sign,
  now: () => number,
): Promise<CustodyLog> {
  const chain = new CustodyChain(owner.identity)
  const first = drives[0]
  const known = first === undefined ? Buffer.alloc(0) : await readLog(first)
  const whole = await followEvents(known, event => chain.take(event))
  for (const drive of drives) {
    const log = await readLog(drive)
    if (log.length > whole) await truncate(pathOf(drive), whole)
  }
  let last: Promise<void> = Promise.resolve()
  const append = async (event: CustodyEventName, detail: Record<string, string>, at: number): Promise<void> => {
    const { number, hash } = chain.head
    const signed = await signCustodyEvent(
      { device: owner.device, job: owner.job, number: number + 1, previous: hash, at, event, detail },
      sign,
    )
    chain.take(signed)
    for (const drive of drives) await appendDurable(drive, encodeCustodyEntry(signed))
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
    const next = await events.next().catch((error: unknown) => {
      if (error instanceof FormatError && error.fault === 'truncated') return null
      throw error
    })
    if (next === null || next.done === true) return whole
    take(next.value)
    whole += encodeCustodyEntry(next.value).length
  }
}

async function appendDurable(drive: Drive, bytes: Buffer): Promise<void> {
  const file = await open(pathOf(drive), 'a', 0o644)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  await syncDirectory(drive.path)
}

export function custodyEventName(text: string): CustodyEventName | null {
  return CUSTODY_EVENTS.find(each => each === text) ?? null
}

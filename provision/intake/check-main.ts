import { parentPort, workerData } from 'node:worker_threads'
import { asBuffer } from '../../format/bytes.ts'
import { sqliteFile } from '../database/dialect.ts'
import { connectDatabase } from '../database/open.ts'
import type { CheckAsked, CheckMessage, CheckOrder } from './check-messages.ts'
import { checkPack } from './check-pack.ts'
import { findingsInto } from './findings.ts'
import type { WorkSchema } from './schema.ts'

/** A thread that reads packs, and writes what is in them through a connection of its own. */
const port = parentPort
if (port === null) throw new Error('a thread that checks packs is started by intake, not by hand')
const { file, run, job, device, identity } = workerData as CheckOrder
const tell = (message: CheckMessage): void => port.postMessage(message)
const database = connectDatabase<WorkSchema>(sqliteFile(file, 'kill'))
const work = { database, run, job, device, identity: asBuffer(identity), find: findingsInto(database, run) }

async function check(copy: CheckAsked): Promise<void> {
  try {
    await checkPack(work, copy, (bytes, more) => tell({ bytes, more }))
    tell({ checked: true })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    tell({ failed: { message, ...textOf(error, 'code'), ...textOf(error, 'syscall') } })
  }
}

function textOf(error: unknown, name: 'code' | 'syscall'): { [name]?: string } {
  const value: unknown = error instanceof Error ? Reflect.get(error, name) : undefined
  return typeof value === 'string' ? { [name]: value } : {}
}

port.on('message', (copy: CheckAsked) => void check(copy))

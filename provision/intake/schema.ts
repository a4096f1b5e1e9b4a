import { type CreateTableBuilder, type Kysely, sql } from 'kysely'
import type { DatabaseKind } from '../database/dialect.ts'
import type { Migrations } from '../database/open.ts'

/**
 * An intake's work, by run: nothing that grows with the number of objects is held in memory, and whatever is done is known after a kill.
 * A run is one look at one seal of one device: its id is the hash of the signed sealed checkpoint and the run's number. Of a finished run
 * with findings what went in stays written here, for the run after it.
 */
export type WorkSchema = {
  runs: {
    id: string
    /** hash of the signed sealed checkpoint */
    seal: string
    job: string
    device: string
    /** of the receipt, and of the reports */
    number: number
    /** the finished run of the same seal that this one goes on from; empty: the first */
    earlier: string
    phase: string
    started_at: number
    report: string | null
  }
  packs: { run: string; pack: string; path: string; length: number; head: Buffer; walked: number }
  epochs: { run: string; epoch: string; record: Buffer; reason: string }
  /** leaves as the drives hold them, by where they were found */
  leaves: { run: string; source: string; idx: number; encoded: Buffer }
  /** what the packs hold, its body compared with its digest */
  commits: {
    run: string
    object_id: string
    pack: string
    body_offset: number
    envelope: Buffer
    core_header: Buffer
    /** empty: sound */
    fault: string
  }
  /** what was signed, one line a leaf */
  items: ItemRow
  findings: { run: string; code: string; message: string }
}

export type ItemRow = {
  run: string
  idx: number
  kind: number
  sequence: number
  committed_at: number
  object_id: string
  epoch: string
  size: number
  body_length: number
  digest_id: number
  digest: Buffer
  envelope_hash: Buffer
  sealed: Buffer
  /** opened metadata, CBOR; null while it is not opened */
  metadata: Buffer | null
  bucket: string
  key: Buffer
  upload: string
  number: number
  /** of a part: the composite that lists it */
  composite: string
  state: ItemState
  reason: string
  proved: number
}
export type ItemState =
  | 'listed' // signed
  | 'ready' // sound, the newest of its name, to be taken in
  | 'member' // a part of a composite that is ready
  | 'stored'
  | 'held' // signed or found, and not to be taken in: `reason` says why
  | 'superseded' // a newer version of the name was signed
  | 'taken-back' // a later tombstone names it
  | 'dropped' // a part that no composite lists
  | 'delete' // a tombstone that the order applies
  | 'noted' // any other tombstone

export const workMigrations: Migrations = kind => ({
  '0001-first': { up: (database: Kysely<unknown>) => first(database, kind) },
  '0002-further-runs-of-a-seal': { up: furtherRuns },
})

async function furtherRuns(database: Kysely<unknown>): Promise<void> {
  for (const column of ['seal', 'earlier'])
    await database.schema
      .alterTable('runs')
      .addColumn(column, 'text', each => each.notNull().defaultTo(''))
      .execute()
  // until now a run's id was its seal
  await sql`update runs set seal = id`.execute(database)
  await database.schema.createIndex('runs_of_seal').on('runs').columns(['seal', 'number']).execute()
}

async function first(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const { bytes, wholeNumber, tableEnd } = kind
  const types = { text: 'text', bytes, number: wholeNumber } as const
  const table = async (
    name: string,
    key: string[],
    columns: Record<string, keyof typeof types | 'maybe-text' | 'maybe-bytes'>,
  ) => {
    let made: CreateTableBuilder<string, string> = database.schema.createTable(name).modifyEnd(tableEnd)
    for (const [column, type] of Object.entries(columns)) {
      if (type === 'maybe-text') made = made.addColumn(column, 'text')
      else if (type === 'maybe-bytes') made = made.addColumn(column, bytes)
      else made = made.addColumn(column, types[type], each => each.notNull())
    }
    await made.addPrimaryKeyConstraint(`${name}_key`, key).execute()
  }
  const text = 'text'
  const number = 'number'
  await table('runs', ['id'], {
    ...{ id: text, job: text, device: text, number, phase: text, started_at: number, report: 'maybe-text' },
  })
  await table('packs', ['run', 'pack'], {
    run: text,
    pack: text,
    path: text,
    length: number,
    head: 'bytes',
    walked: number,
  })
  await table('epochs', ['run', 'epoch'], { run: text, epoch: text, record: 'bytes', reason: text })
  await table('leaves', ['run', 'source', 'idx'], { run: text, source: text, idx: number, encoded: 'bytes' })
  await table('commits', ['run', 'object_id'], {
    ...{ run: text, object_id: text, pack: text, body_offset: number },
    ...{ envelope: 'bytes', core_header: 'bytes', fault: text },
  })
  await table('items', ['run', 'idx'], {
    ...{ run: text, idx: number, kind: number, sequence: number, committed_at: number, object_id: text, epoch: text },
    ...{
      size: number,
      body_length: number,
      digest_id: number,
      digest: 'bytes',
      envelope_hash: 'bytes',
      sealed: 'bytes',
    },
    ...{ metadata: 'maybe-bytes', bucket: text, key: 'bytes', upload: text, number, composite: text },
    ...{ state: text, reason: text, proved: number },
  })
  await table('findings', ['run', 'code', 'message'], { run: text, code: text, message: text })
  for (const [name, on, columns] of [
    ['items_by_name', 'items', ['run', 'bucket', 'key', 'sequence']],
    ['items_by_object', 'items', ['run', 'object_id']],
    ['items_by_state', 'items', ['run', 'state', 'idx']],
    ['runs_of_job', 'runs', ['job', 'number']],
  ] as const)
    await database.schema
      .createIndex(name)
      .on(on)
      .columns([...columns])
      .execute()
}

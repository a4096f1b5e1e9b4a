import type { Kysely } from 'kysely'
import { inserter } from '../database/rows.ts'

/**
 * An intake's work, by run: nothing that grows with the number of objects is held in memory, and whatever is done is known after a kill.
 * A run is one look at one seal of one device: its id is the hash of the signed sealed checkpoint and the run's number. Of a finished run
 * with findings what went in stays written here, for the run after it.
 */
export type WorkSchema = {
  runs: {
    id: string
    /** what the rows of the other tables bear: the id would be most of an index */
    row: number
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
  packs: { run: number; pack: string; path: string; length: number; head: Buffer; walked: number }
  epochs: { run: number; epoch: string; record: Buffer; reason: string }
  /** leaves as the drives hold them, by where they were found: `count` of them one after another, from place `idx` of the tree on */
  leaves: { run: number; source: string; idx: number; count: number; encoded: Buffer }
  /** what the packs hold, its body compared with its digest */
  commits: {
    run: number
    object_id: string
    pack: string
    /** where its commit frame lies */
    frame: number
    body_offset: number
    envelope_hash: Buffer
    /** core header (none for a composite), then envelope: one value to read */
    header_bytes: number
    bytes: Buffer
    /** empty: sound */
    fault: string
  }
  /** what was signed, one line a leaf */
  items: ItemRow
  /** where in the tree items of one epoch and kind lie, and how many: what asks for rare ones need not look at all */
  spans: { run: number; epoch: string; kind: number; named: number; first: number; last: number; count: number }
  findings: { run: number; code: string; message: string }
}

export type ItemRow = {
  run: number
  idx: number
  kind: number
  sequence: number
  object_id: string
  epoch: string
  size: number
  body_length: number
  digest_id: number
  digest: Buffer
  envelope_hash: Buffer
  /** sealed metadata, while they are not opened; empty after */
  sealed: Buffer
  /** 1: its metadata were opened, and the columns up to `line` say what is in them */
  named: number
  bucket: string
  key: string
  upload: string
  number: number
  etag: string
  modified_at: number
  /** JSON of `ObjectAttributes` */
  attributes: string
  /** JSON of `Checksum`; empty: none */
  checksum: string
  /** its line in the receipts, should it be stored; empty for what has none */
  line: Buffer
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

export const insertCommits = inserter<WorkSchema['commits']>('commits', [
  ...(['run', 'object_id', 'pack', 'frame', 'body_offset', 'envelope_hash', 'header_bytes', 'bytes', 'fault'] as const),
])
export const insertLeaves = inserter<WorkSchema['leaves']>('leaves', ['run', 'source', 'idx', 'count', 'encoded'])
export const insertItems = inserter<ItemRow>('items', [
  ...(['run', 'idx', 'kind', 'sequence', 'object_id', 'epoch', 'size', 'body_length', 'digest_id'] as const),
  ...(['digest', 'envelope_hash', 'sealed', 'named', 'bucket', 'key', 'upload', 'number', 'etag'] as const),
  ...(['modified_at', 'attributes', 'checksum', 'line', 'composite', 'state', 'reason', 'proved'] as const),
])

const INDEXES = {
  commits: [['commits_by_object', ['run', 'object_id']]],
  items: [
    ['items_by_name', ['run', 'bucket', 'key', 'sequence']],
    ['items_by_object', ['run', 'object_id']],
  ],
} as const

/** Object ids and names come in no order: an index grown row by row is written over and over, one made of all rows is sorted once. */
export async function makeIndexes(database: Kysely<WorkSchema>, table: keyof typeof INDEXES): Promise<void> {
  for (const [name, columns] of INDEXES[table])
    await database.schema
      .createIndex(name)
      .ifNotExists()
      .on(table)
      .columns([...columns])
      .execute()
}

export async function dropIndexes(database: Kysely<WorkSchema>, table: keyof typeof INDEXES): Promise<void> {
  for (const [name] of INDEXES[table]) await database.schema.dropIndex(name).ifExists().execute()
}

import { hash } from 'node:crypto'
import type { Kysely } from 'kysely'
import { equalBytes } from '../../format/bytes.ts'
import { type CborValue, decodeCbor, encodeCbor, Fields } from '../../format/cbor.ts'
import { FormatError } from '../../format/fault.ts'
import { label } from '../../format/kdf.ts'
import type { KeystoreSchema } from '../database/keystore-schema.ts'
import { inserter, replacer } from '../database/rows.ts'
import type { StateKey } from './state-key.ts'

/** What was asked, by whom, about what, and what came of it. No key, no secret, no signature. */
export type AuditEntry = { what: string; who: string; about: string; outcome: string }

/**
 * The audit: rows of entries, each row's hash over the one before, the last one's marked with the state key. `write` resolves when the
 * entry is on the medium; everything that queued while the last row was written is the next row.
 */
export type Audit = {
  write(entry: AuditEntry): Promise<void>
  /** The last row that is on the medium. */
  head(): { seq: number; hash: Buffer }
  /** @throws FormatError "tampered" - names the first row that does not fit */
  verify(): Promise<{ entries: number; head: Buffer }>
  close(): Promise<void>
}

const insertRow = inserter<KeystoreSchema['audit']>('audit', ['seq', 'body', 'hash'])
const replaceFact = replacer<KeystoreSchema['facts']>('facts', ['name', 'value'], 'name')
const HEAD = 'audit-head'
const ROW_ENTRIES_MAX = 1000
const ROW_BYTES_LIMIT = 8 << 20
const PAGE_ROWS = 500
const FIRST = Buffer.alloc(32)
const TEXT_MAX = 2048

type Head = { seq: number; hash: Buffer }
type Waiting = { entry: CborValue; written: () => void; failed: (cause: unknown) => void }

export async function openAudit(
  database: Kysely<KeystoreSchema>,
  state: StateKey,
  clock: () => number,
): Promise<Audit> {
  let head = await readHead(database, state)
  let waiting: Waiting[] = []
  let writing: Promise<void> | null = null

  const writeRow = async (batch: Waiting[]): Promise<void> => {
    const body = encodeCbor(batch.map(each => each.entry))
    const next = { seq: head.seq + 1, hash: rowHash(head.hash, head.seq + 1, body) }
    try {
      await database.transaction().execute(async transaction => {
        await insertRow(transaction, [{ seq: next.seq, body, hash: next.hash }])
        await putFact(transaction, HEAD, encodeHead(next, state))
      }) // commit point: the keys that wait for it may leave
    } catch (cause) {
      for (const each of batch) each.failed(cause)
      return
    }
    head = next
    for (const each of batch) each.written()
  }
  const drain = async (): Promise<void> => {
    while (waiting.length > 0) await writeRow(waiting.splice(0, ROW_ENTRIES_MAX))
    writing = null
  }
  return {
    write({ what, who, about, outcome }) {
      const cut = (text: string) => text.slice(0, TEXT_MAX)
      const entry = { t: clock(), a: cut(what), w: cut(who), o: cut(about), r: cut(outcome) }
      const { promise, resolve: written, reject: failed } = Promise.withResolvers<void>()
      waiting.push({ entry, written, failed })
      // by way of the queue of micro tasks, so that what arrived together is one row
      writing ??= Promise.resolve().then(drain)
      return promise
    },
    head: () => head,
    async verify() {
      while (writing !== null) await writing
      return verifyChain(database, state)
    },
    async close() {
      while (writing !== null) await writing
      waiting = []
    },
  }
}

export async function putFact(database: Kysely<KeystoreSchema>, name: string, value: Buffer): Promise<void> {
  await replaceFact(database, { name, value })
}

async function verifyChain(
  database: Kysely<KeystoreSchema>,
  state: StateKey,
): Promise<{ entries: number; head: Buffer }> {
  const { seq: last, hash: wanted } = await readHead(database, state)
  let before: Head = { seq: 0, hash: FIRST }
  let entries = 0
  for (;;) {
    const rows = await database
      .selectFrom('audit')
      .selectAll()
      .where('seq', '>', before.seq)
      .orderBy('seq')
      .limit(PAGE_ROWS)
      .execute()
    for (const row of rows) {
      if (row.seq !== before.seq + 1)
        throw new FormatError('tampered', `audit: row ${before.seq + 1} is missing, ${row.seq} follows`)
      if (!equalBytes(rowHash(before.hash, row.seq, row.body), row.hash))
        throw new FormatError('tampered', `audit: row ${row.seq} was changed, or the one before it`)
      const list = decodeCbor(row.body, ROW_BYTES_LIMIT, `audit row ${row.seq}`)
      if (!Array.isArray(list)) throw new FormatError('malformed', `audit: row ${row.seq} is no list`)
      entries += list.length
      before = { seq: row.seq, hash: row.hash }
    }
    if (rows.length < PAGE_ROWS) break
  }
  if (before.seq !== last || !equalBytes(before.hash, wanted))
    throw new FormatError('tampered', `audit: ends at row ${before.seq}, should end at ${last}`)
  return { entries, head: before.hash }
}

function rowHash(before: Uint8Array, seq: number, body: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([label('audit'), before, encodeCbor(seq), body]), 'buffer')
}

function encodeHead(head: Head, state: StateKey): Buffer {
  return encodeCbor({ seq: head.seq, hash: head.hash, mark: state.mac(encodeCbor([head.seq, head.hash])) })
}

/** @throws FormatError "tampered" - not marked with this state key */
async function readHead(database: Kysely<KeystoreSchema>, state: StateKey): Promise<Head> {
  const fact = await database.selectFrom('facts').select('value').where('name', '=', HEAD).executeTakeFirst()
  if (fact === undefined) {
    const row = await database.selectFrom('audit').select('seq').limit(1).executeTakeFirst()
    if (row !== undefined) throw new FormatError('tampered', 'audit: it has rows and no head')
    return { seq: 0, hash: FIRST }
  }
  const fields = new Fields(decodeCbor(fact.value, 1024, 'audit head'), 'audit head')
  const head = { seq: fields.count('seq'), hash: fields.bytes('hash', 32) }
  if (!equalBytes(fields.bytes('mark', 32), state.mac(encodeCbor([head.seq, head.hash]))))
    throw new FormatError('tampered', 'audit: its head was not marked by this authority')
  fields.end()
  return head
}

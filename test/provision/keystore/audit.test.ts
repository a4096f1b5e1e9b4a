import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { JOB_STATES } from '../../../format/administration.ts'
import { type JobEvent, type JobKind, nextJobState } from '../../../provision/keystore/jobs/job-state.ts'
import { type AuthorityFixture, authorityFixture, faultOf, member, proofOf } from './authority-fixture.ts'

const test = suite('audit')
let fixture: AuthorityFixture
let secret: string

test.before(async () => {
  fixture = await authorityFixture()
  const { administration, release } = fixture.authority
  const anna = await member(administration, 'anna')
  secret = anna.secretKey
  for (let at = 0; at < 5; at++)
    await faultOf(release.authenticate(proofOf({ ...anna, secretKey: 'wrong' }, 'GET', { bucket: 'b', key: `${at}` })))
})
test.after(() => fixture.remove())

/** Does something to the file behind the authority's back, asks, and undoes it. */
async function after(change: string, undo: (database: Database.Database) => void): Promise<string> {
  const database = new Database(join(fixture.directory, 'keystore.sqlite'))
  try {
    database.exec(change)
    const fault = await faultOf(fixture.authority.administration.verifyAudit())
    undo(database)
    return fault
  } finally {
    database.close()
  }
}

test('an untouched chain is unbroken, counts its entries, and goes on after a new start', async () => {
  const { entries, head } = await fixture.authority.administration.verifyAudit()
  assert.is(entries, 7)
  const again = await fixture.reopen()
  assert.equal(await again.administration.verifyAudit(), { entries, head })
  await again.administration.createAccount('bert')
  assert.is((await again.administration.verifyAudit()).entries, 8)
})

test('entries that arrive together are one row', async () => {
  const { release } = fixture.authority
  const rows = () => {
    const database = new Database(join(fixture.directory, 'keystore.sqlite'), { readonly: true })
    const count = database.prepare<[], number>('SELECT count(*) FROM audit').pluck().get()
    database.close()
    return count ?? 0
  }
  const before = rows()
  const proof = proofOf({ accessKey: 'AKIANOBODY', secretKey: 'x' }, 'GET', { bucket: 'b', key: 'k' })
  await Promise.all(Array.from({ length: 100 }, () => faultOf(release.authenticate(proof))))
  assert.ok(rows() - before < 20, `${rows() - before} rows for 100 entries`)
})

test('a changed entry, a missing row, a cut tail and a changed head are noticed', async () => {
  const database = new Database(join(fixture.directory, 'keystore.sqlite'))
  const all = database.prepare<[], { seq: number; body: Buffer; hash: Buffer }>('SELECT * FROM audit').all()
  const head = database.prepare<[], Buffer>("SELECT value FROM facts WHERE name = 'audit-head'").pluck().get()
  database.close()
  const last = all.at(-1)
  if (last === undefined || head === undefined) throw new Error('no rows')
  const restore = (at: Database.Database) => {
    at.exec('DELETE FROM audit')
    for (const { seq, body, hash } of all) at.prepare('INSERT INTO audit VALUES (?, ?, ?)').run(seq, body, hash)
    at.prepare("INSERT OR REPLACE INTO facts VALUES ('audit-head', ?)").run(head)
  }
  const changes = [
    "UPDATE audit SET body = x'80' WHERE seq = 2",
    'UPDATE audit SET hash = zeroblob(32) WHERE seq = 3',
    'DELETE FROM audit WHERE seq = 1',
    'DELETE FROM audit WHERE seq = 4',
    `DELETE FROM audit WHERE seq = ${last.seq}`,
    'DELETE FROM audit',
    `INSERT INTO audit VALUES (${last.seq + 1}, x'80', zeroblob(32))`,
    "UPDATE facts SET value = x'a0' WHERE name = 'audit-head'",
    "DELETE FROM facts WHERE name = 'audit-head'",
  ]
  for (const change of changes) assert.ok(['tampered', 'malformed'].includes(await after(change, restore)), change)
  assert.is(await faultOf(fixture.authority.administration.verifyAudit()), 'none')
})

test('no secret lies readable in the file', () => {
  for (const name of ['keystore.sqlite', 'keystore.sqlite-wal'])
    assert.not.ok(readFileSync(join(fixture.directory, name)).includes(secret), name)
})

test('a job goes on only as its state allows', async () => {
  const imports = ['device-prepared', 'begin-intake', 'end-intake', 'destroy-key'] as const
  const exports = ['device-prepared', 'begin-export', 'end-export', 'close'] as const
  const table = (kind: JobKind, events: readonly JobEvent[]) =>
    Object.fromEntries(
      JOB_STATES.map(state => [
        state,
        events.map(event => {
          try {
            return nextJobState(kind, state, event)
          } catch {
            return '-'
          }
        }),
      ]),
    )
  const never = ['-', '-', '-', '-']
  assert.equal(table('import', imports), {
    ordered: ['prepared', '-', '-', 'closed'],
    prepared: ['prepared', 'taking-in', '-', 'closed'],
    'taking-in': ['-', 'taking-in', 'taken-in', '-'],
    'taken-in': ['prepared', 'taking-in', 'taken-in', 'closed'],
    exporting: never,
    exported: never,
    closed: ['-', '-', '-', 'closed'],
  })
  assert.equal(table('export', exports), {
    ordered: ['prepared', '-', '-', 'closed'],
    prepared: ['prepared', 'exporting', '-', 'closed'],
    'taking-in': never,
    'taken-in': never,
    exporting: ['-', 'exporting', 'exported', 'closed'],
    exported: ['prepared', 'exporting', 'exported', 'closed'],
    closed: ['-', '-', '-', 'closed'],
  })
  for (const [kind, events] of [
    ['import', exports.slice(1)],
    ['export', imports.slice(1)],
  ] as const)
    assert.equal(
      Object.values(table(kind, events))
        .flat()
        .filter(next => next !== '-'),
      [],
      `no ${events} of ${kind}`,
    )
})

test.run()

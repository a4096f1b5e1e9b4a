// timeout: 180s, test 90s
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ACL_CONTENT_TYPE } from '../../../provision/hosted/acl/acl-rows.ts'
import type { Answer } from '../../s3-client.ts'
import { policy } from '../acl/world.ts'
import { openProcesses, type ProviderProcesses, type Someone } from './installation.ts'

const test = suite('two hosted processes on one store')
let at: ProviderProcesses
let anna: Someone
let bert: Someone
let dave: Someone

const OBJECTS = 10
/** each beside the object's writer: 50 in all */
const READERS = 4
const MARK = { 'content-type': ACL_CONTENT_TYPE }

/** What an ACL says, as far as it was told: a write whose answer is not there yet may count or not. */
type Told = { reads: boolean; from: number }
type Subject = {
  key: string
  write: (reads: boolean, on: number) => Promise<Answer>
  told: Told[]
  writing: number | null
}

const failures: string[] = []
let reads = 0
let writes = 0

async function good(on: number, who: Someone, method: string, path: string, options = {}): Promise<Answer> {
  const answer = await at.client(on, who).send(method, path, { signed: true, ...options })
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body.toString('utf8')}`)
  return answer
}

/** Two requests of one second that are the same to the byte count once: these are not the same. */
let requests = 0
const numbered = (headers = {}) => ({ ...headers, 'x-number': `${++requests}` })
const document = (grants: string[]) => Buffer.from(policy(grants))

test.before(async () => {
  at = await openProcesses(2)
  anna = await at.account('anna')
  bert = await at.account('bert')
  await at.provider('user', 'create', 'anna', 'dave')
  dave = await at.keyOf('anna/dave')
  await good(0, anna, 'PUT', '/bkt')
})
test.after(() => at.remove())

/** Half of them refer to an ACL object, half have an ACL of their own. */
async function subjects(): Promise<Subject[]> {
  const made: Subject[] = []
  for (let number = 0; number < OBJECTS; number++) {
    const key = `/bkt/k${number}`
    const grants = (allowed: boolean) => document(allowed ? [`${bert.id}=READ`] : [`${bert.id}=READ_ACP`])
    const acl = `/bkt/acl${number}`
    const named = number % 2 === 0
    if (named) await good(number % 2, anna, 'PUT', acl, { headers: MARK, body: grants(false) })
    const headers = named ? { 'x-storage-acl': acl.slice(1), 'x-storage-acl-mode': 'reference' } : {}
    await good(1, anna, 'PUT', key, { headers, body: Buffer.from('content') })
    made.push({
      key,
      told: [{ reads: false, from: 0 }],
      writing: null,
      write: (allowed, on) =>
        named
          ? at.client(on, anna).send('PUT', acl, { signed: true, headers: numbered(MARK), body: grants(allowed) })
          : at
              .client(on, anna)
              .send('PUT', key, { signed: true, query: 'acl', headers: numbered(), body: grants(allowed) }),
    })
  }
  return made
}

/** A process that is killed says nothing more: what it was asked is not known to have happened. */
async function unlessKilled(work: () => Promise<Answer>): Promise<Answer | null> {
  try {
    return await work()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ERR_INVALID_URL'].includes(code)) return null
    throw error
  }
}

/** What a read that starts now and ends later may be told. */
function readBy(subject: Subject): (status: number, how: string) => void {
  const last = subject.told.at(-1)
  const open = subject.writing !== null
  const known = subject.told.length
  return (status, how) => {
    reads++
    const same = !open && subject.writing === null && subject.told.length === known
    if (status !== 200 && status !== 403) failures.push(`${how}: ${status}`)
    else if (same && last !== undefined && (status === 200) !== last.reads)
      failures.push(
        `${how}: ${status} ${Date.now() - last.from} ms after it was told that ${last.reads ? 'he reads' : 'he does not'}`,
      )
  }
}

async function readOnce(subject: Subject, on: number, how: string): Promise<void> {
  const judge = readBy(subject)
  const method = reads % 3 === 0 ? 'HEAD' : 'GET'
  const answer = await unlessKilled(() => at.client(on, bert).send(method, subject.key))
  if (answer !== null) judge(answer.status, `${how} ${method} ${subject.key} of process ${on}`)
}

async function writer(subject: Subject, until: AbortSignal): Promise<void> {
  for (let turn = 0; !until.aborted; turn++) {
    const allowed = turn % 2 === 0
    subject.writing = Date.now()
    const answer = await unlessKilled(() => subject.write(allowed, turn % 3 === 0 ? 0 : 1))
    // not known: it stays open till the next one that is answered
    if (answer === null) {
      await delay(20)
      continue
    }
    if (answer.status !== 200)
      failures.push(`write of ${subject.key}: ${answer.status} ${answer.body.toString('utf8')}`)
    writes++
    subject.told.push({ reads: allowed, from: Date.now() })
    subject.writing = null
    // this very moment, on both
    await Promise.all([readOnce(subject, 0, 'after the 200'), readOnce(subject, 1, 'after the 200')])
  }
}

async function reader(subject: Subject, on: number, until: AbortSignal): Promise<void> {
  while (!until.aborted) {
    await readOnce(subject, on, 'beside it')
    await delay(5)
  }
}

/** An object goes from one ACL to another and back; at no moment does the one that it has let him in, though each does at times. */
async function mover(until: AbortSignal): Promise<void> {
  const say = (name: string, grants: string[], on: number) =>
    unlessKilled(() =>
      at
        .client(on, anna)
        .send('PUT', `/bkt/${name}`, { signed: true, headers: numbered(MARK), body: document(grants) }),
    )
  const move = (name: string, on: number) =>
    unlessKilled(() =>
      at.client(on, anna).send('PUT', '/bkt/moved', {
        signed: true,
        query: 'acl',
        headers: numbered({ 'x-storage-acl': `bkt/${name}`, 'x-storage-acl-mode': 'reference' }),
      }),
    )
  /** One step is done before the next begins, or it would not be true of every moment. */
  const surely = async (step: (on: number) => Promise<Answer | null>): Promise<void> => {
    for (let on = 0; !until.aborted; on = 1 - on) {
      const answer = await step(on)
      if (answer?.status === 200) return
      if (answer !== null) failures.push(`a step of the mover: ${answer.status} ${answer.body.toString('utf8')}`)
    }
  }
  for (let [here, there] = ['x', 'y']; !until.aborted; [here, there] = [there, here]) {
    await surely(on => say(there, [], on))
    await surely(on => move(there, on))
    await surely(on => say(here, [`${dave.id}=READ`], on))
  }
}

async function shutOut(on: number, method: string, until: AbortSignal): Promise<void> {
  while (!until.aborted) {
    const answer = await unlessKilled(() => at.client(on, dave).send(method, '/bkt/moved'))
    reads++
    if (answer !== null && answer.status !== 403) failures.push(`${method} of what was moved: ${answer.status}`)
    await delay(2)
  }
}

test('what a 200 says is so on the other process in the very next request, whatever that one has just seen', async () => {
  const named = { 'x-storage-acl': 'bkt/quiet-acl', 'x-storage-acl-mode': 'reference' }
  await good(0, anna, 'PUT', '/bkt/quiet-acl', { headers: MARK, body: document([]) })
  for (const [key, headers] of [
    ['quiet-named', named],
    ['quiet-own', {}],
  ] as const)
    await good(0, anna, 'PUT', `/bkt/${key}`, { headers, body: Buffer.from('quiet') })
  const seen = async (method: string, path: string): Promise<number[]> => {
    const answers = [0, 1].map(on => at.client(on, bert).send(method, path))
    return (await Promise.all(answers)).map(each => each.status)
  }
  for (let turn = 0; turn < 24; turn++) {
    const [on, status] = [turn % 2, Math.floor(turn / 3) % 2 === 0 ? 200 : 403]
    const grants = status === 200 ? [`${bert.id}=READ`] : []
    const what = [
      ['/bkt/quiet-named', '/bkt/quiet-acl', '', MARK],
      ['/bkt/quiet-own', '/bkt/quiet-own', 'acl', {}],
      ['/bkt', '/bkt', 'acl', {}],
    ] as const
    const [path, changed, query, headers] = what[turn % 3] ?? what[0]
    for (const method of ['GET', 'HEAD']) await seen(method, path)
    await good(on, anna, 'PUT', changed, { query, headers: numbered(headers), body: document(grants) })
    for (const method of ['GET', 'HEAD'])
      assert.equal(await seen(method, path), [status, status], `${method} ${path} after ${grants.length} grants`)
  }
})

test('50 writers and readers of ACLs at once over both, one of them killed: none is judged by an ACL of before', async () => {
  const all = await subjects()
  for (const name of ['x', 'y']) await good(0, anna, 'PUT', `/bkt/${name}`, { headers: MARK, body: document([]) })
  const refer = { 'x-storage-acl': 'bkt/x', 'x-storage-acl-mode': 'reference' }
  await good(1, anna, 'PUT', '/bkt/moved', { headers: refer, body: Buffer.from('moved') })
  const stop = new AbortController()
  const work = [
    ...all.map(each => writer(each, stop.signal)),
    ...all.flatMap(each => Array.from({ length: READERS }, (_, number) => reader(each, number % 2, stop.signal))),
    mover(stop.signal),
    ...[0, 1].flatMap(on => ['GET', 'HEAD'].map(method => shutOut(on, method, stop.signal))),
  ]
  const done = Promise.all(work)
  await Promise.race([done, delay(6000)])
  const before = { reads, writes }
  at.hosted[0]?.service.process.kill('SIGKILL')
  await Promise.race([done, delay(3000)])
  await at.start(0)
  await Promise.race([done, delay(3000)])
  stop.abort()
  await done
  assert.equal(failures.slice(0, 5), [])
  assert.ok(before.writes > 20 && before.reads > 200, JSON.stringify(before))
  assert.ok(writes > before.writes && reads > before.reads, 'it went on')
})

test('what the killed one was at is finished by the other: what is shown is what decides, on both', async () => {
  // longer than it takes to look whether another died
  await delay(6000)
  for (let number = 0; number < OBJECTS; number++)
    for (const on of [0, 1]) {
      const { body } = await good(on, anna, 'GET', `/bkt/k${number}`, { query: 'acl' })
      const answer = await at.client(on, bert).send('GET', `/bkt/k${number}`)
      assert.is(answer.status, body.includes('>READ<') ? 200 : 403, `k${number} of process ${on}`)
    }
  for (let number = 0; number < OBJECTS; number += 2) {
    const { body } = await good(1, anna, 'GET', `/bkt/acl${number}`, { query: 'referrers' })
    assert.match(body.toString('utf8'), /<Count>1</)
  }
})

test('a member that is taken out of a group, or comes in, is so on both from the answer on', async () => {
  const group = await at.provider<{ id: string }>('group', 'create', 'anna', 'crew')
  const body = Buffer.from(
    '<AccessControlList><Entries><Entry><Scope type="GroupById"><ID>' +
      `${group.id}</ID></Scope><Permission>READ</Permission></Entry></Entries></AccessControlList>`,
  )
  await good(0, anna, 'PUT', '/bkt/crew', { body: Buffer.from('for the crew') })
  await good(0, anna, 'PUT', '/bkt/crew', { query: 'acl', body })
  for (const [verb, status] of [
    ['add', 200],
    ['remove', 403],
    ['add', 200],
  ] as const) {
    await at.provider('group', verb, 'anna/crew', 'anna/dave')
    for (const on of [0, 1, 0, 1])
      assert.is((await at.client(on, dave).send('GET', '/bkt/crew')).status, status, `${verb} ${on}`)
  }
})

test('a quota that is set is the other’s, too; what both stored counts together', async () => {
  const bytes = (size: number) => ({ body: Buffer.alloc(size) })
  await good(0, anna, 'PUT', '/quo')
  await at.provider('quota', 'set', 'bucket:quo', 'stored-bytes', '1000')
  await good(0, anna, 'PUT', '/quo/one', bytes(600))
  for (const on of [0, 1])
    assert.is((await at.client(on, anna).send('PUT', '/quo/two', { signed: true, ...bytes(600) })).status, 403)
  await at.provider('quota', 'set', 'bucket:quo', 'stored-bytes', '1200')
  await good(1, anna, 'PUT', '/quo/two', bytes(600))
})

test('an object that the other removes while it is read is read to its end, and found replaced after that', async () => {
  const one = Buffer.alloc(3 << 20, 'one')
  const two = Buffer.alloc(3 << 20, 'two')
  await good(0, anna, 'PUT', '/bkt/film', { body: one })
  let whole = 0
  for (let turn = 0; turn < 10; turn++) {
    const next = turn % 2 === 0 ? two : one
    const reading = Array.from({ length: 4 }, () => good(1, anna, 'GET', '/bkt/film'))
    const writing = good(0, anna, 'PUT', '/bkt/film', { body: next })
    for (const { body } of await Promise.all(reading)) {
      assert.ok(body.equals(one) || body.equals(two))
      whole++
    }
    await writing
    assert.ok((await good(1, anna, 'GET', '/bkt/film')).body.equals(next))
  }
  assert.is(whole, 40)
})

test.run()

/**
 * `acl`: an edit of a named ACL that a million objects refer to, beside one that a single object refers to; reads by reference beside reads
 * by an ACL of one's own; decisions. A million objects come by drive under the list, which takes minutes.
 */
import { makeAcl, R, type Rights, type Scope } from '../../access/acl/acl.ts'
import { type Resource, rightsOf, type Who } from '../../access/acl/decide.ts'
import { policy } from '../../test/provision/acl/world.ts'
import { ask } from '../../test/quickstart/commands.ts'
import { type S3Client, s3Client } from '../../test/s3-client.ts'
import { makeCorpus } from '../corpus.ts'
import { askDevice, BUCKET, startAgent } from '../device.ts'
import { load } from '../load.ts'
import { judge, median, type Row, type Target } from '../measure.ts'
import { fillMillion, MILLION, millionKey } from '../million-builder.ts'
import {
  type Account,
  fillAndSeal,
  openAccount,
  orderJob,
  type SealedDrive,
  startProvider,
  takeIn,
} from '../provider.ts'
import { contend, type Run, settled } from '../rounds.ts'

const ROOM_BYTES = 8e9
const LISTS = { million: 'acls/million', one: 'acls/one' } as const
const MARKED = { 'content-type': 'application/vnd.storage.acl+xml' }
const OWN = { files: 20_000, fileBytes: 64 }
const EDITS_A_ROUND = 20
const READ_SECONDS = 6
const EDIT: Target = { text: '>= 0.8 x with 1 referrer, in force at its answer', ratios: { '1 referrer': 0.8 } }
const READ: Target = { text: '>= 0.9 x by an own ACL', ratios: { 'own ACL': 0.9 } }

export async function measureAcl(run: Run): Promise<Row[]> {
  const { place, say } = run
  place.needRoom(ROOM_BYTES, 'acl')
  const home = place.make('acl')
  const state = `${home}/provider`
  await ask('sealift-provider', ['--state', state, 'init'])
  const owner = await openAccount(state, 'owner')
  const crew = await openAccount(state, 'crew')
  const hosted = await startProvider(state, owner)
  const url = `http://127.0.0.1:${hosted.endpoint.port}`
  const clients = { owner: s3Client(url, owner), crew: s3Client(url, crew) }
  try {
    good(await clients.owner.send('PUT', `/${BUCKET}`))
    const lists = listsOf(clients.owner, owner, crew)
    for (const key of Object.values(LISTS)) await lists.edit(key, true)
    const under = (mode: string) => ['--acl', `${BUCKET}/${LISTS.million}`, '--acl-mode', mode]

    const million = await orderJob(place.make('acl-million'), state, owner, under('reference'))
    await fillMillion(million.device, done => say(`acl: a million objects: ${done}`))
    const agent = await startAgent(million.device)
    const sealed = await askDevice<{ code: string; objects: number }>(million.device, 'seal')
    await agent.stop()
    say('acl: the million is taken in')
    await takeIn(state, { ...million, sealCode: sealed.code, objects: sealed.objects })
    await takeIn(state, await ownAcls(run, state, owner, under('copy')))
    const named = { 'x-storage-acl': `${BUCKET}/${LISTS.one}`, 'x-storage-acl-mode': 'reference' }
    good(await clients.owner.put(BUCKET, 'single', 'text', named))
    return [await edits(run, lists, clients.crew), ...(await reads(run, hosted.endpoint.port, crew)), decisions()]
  } finally {
    for (const client of Object.values(clients)) client.close()
    await hosted.stop()
  }
}

/** Objects of the same size, each with the list's entries as its own. */
async function ownAcls(run: Run, state: string, owner: Account, kind: string[]): Promise<SealedDrive> {
  const ordered = await orderJob(run.place.make('acl-own'), state, owner, kind)
  const agent = await startAgent(ordered.device)
  try {
    return await fillAndSeal(ordered, agent, [[makeCorpus(run.place, 'tiny', OWN).path, 'own']])
  } finally {
    await agent.stop()
  }
}

type Lists = { edit: (key: string, letIn: boolean) => Promise<number> }

function listsOf(client: S3Client, owner: Account, crew: Account): Lists {
  return {
    /** @returns ms */
    async edit(key, letIn) {
      const grants = [`${owner.id}=FULL_CONTROL`, ...(letIn ? [`${crew.id}=READ`] : [])]
      const body = Buffer.from(policy(grants))
      const from = performance.now()
      good(await client.send('PUT', `/${BUCKET}/${key}`, { body, headers: MARKED, signed: true }))
      return performance.now() - from
    },
  }
}

/**
 * Edits of the two lists in turn, so that both meet the same disk. Each is followed by the read that it decides: what is not in force at its
 * answer is no edit.
 */
async function edits(run: Run, lists: Lists, reader: S3Client): Promise<Row> {
  const late: string[] = []
  let turn = 0
  const next = (): string => {
    turn += 7919
    return millionKey(turn % MILLION)
  }
  const sides = [
    { list: LISTS.million, keyOf: next, rates: [] as number[] },
    { list: LISTS.one, keyOf: () => 'single', rates: [] as number[] },
  ] as const
  for (let round = 0; round <= run.rounds; round++) {
    await settled(run)
    const times = sides.map((): number[] => [])
    for (let edit = 1; edit <= EDITS_A_ROUND; edit++)
      for (const [at, { list, keyOf }] of sides.entries()) {
        const letIn = edit % 2 === 0
        times[at]?.push(await lists.edit(list, letIn))
        const { status } = await reader.get(BUCKET, keyOf())
        if (status !== (letIn ? 200 : 403)) late.push(`${list}: ${status} right after the edit`)
      }
    const found = times.map(each => 1000 / (median(each) ?? Number.POSITIVE_INFINITY))
    if (round > 0) for (const [at, { rates }] of sides.entries()) rates.push(found[at] ?? 0)
    run.say(
      `acl-edit ${round === 0 ? 'warm-up' : `round ${round}`}: ${found.map(each => each.toFixed(1)).join(' and ')}`,
    )
  }
  const [million, one] = sides
  return judge(
    'acl-edit',
    'edits/s',
    EDIT,
    { ours: million.rates, peers: { '1 referrer': one.rates } },
    { unmet: late },
  )
}

async function reads(run: Run, port: number, crew: Account): Promise<Row[]> {
  const own = Array.from({ length: OWN.files }, (_, at) => {
    const folder = String(Math.floor(at / 1000)).padStart(3, '0')
    return `own/d${folder}/f${String(at).padStart(7, '0')}`
  })
  const shared = Array.from({ length: OWN.files }, (_, at) => millionKey(at))
  const of = (name: string, keys: string[]) => ({
    name,
    async round(): Promise<number> {
      const from = { port, bucket: BUCKET, credentials: crew, keys, bodyBytes: 0 }
      const order = { ...from, method: 'GET', connections: 32, mostSeconds: READ_SECONDS } as const
      const { answered, seconds } = await load(order, () => settled(run))
      return answered / seconds
    },
  })
  const contenders = [of('by reference', shared), of('own ACL', own)]
  const rounds = await contend(run, 'acl-read', READ, contenders)
  return [judge('acl-read', 'requests/s', READ, rounds)]
}

/** The pure decision, over a full list and a caller who is in many groups. */
function decisions(): Row {
  const id = (at: number): string => at.toString(16).padStart(16, '0')
  const entries = Array.from({ length: 100 }, (_, at): { scope: Scope; rights: Rights } => ({
    scope: at % 2 === 0 ? { kind: 'user', id: id(at) } : { kind: 'group', id: id(at) },
    rights: R,
  }))
  const resource: Resource = { kind: 'object', owner: id(1000), bucketOwner: id(1001), acl: makeAcl(entries) }
  const groups = new Set(Array.from({ length: 20 }, (_, at) => id(2000 + at)))
  const who: Who = { kind: 'known', id: id(98), groups, domains: new Set(['example.com']) }
  const rates: number[] = []
  for (let round = 0; round < 6; round++) {
    const from = performance.now()
    let held = 0
    for (let at = 0; at < 100_000; at++) held += rightsOf(resource, who) & R
    const rate = 100_000 / ((performance.now() - from) / 1000)
    if (held !== 100_000 * R) throw new Error('a decision went wrong')
    if (round > 0) rates.push(rate)
  }
  return judge('acl-decisions, 100 entries', 'decisions/s', { text: '' }, { ours: rates, peers: {} })
}

function good<T extends { status: number; body: Buffer }>(answer: T): T {
  if (answer.status >= 300) throw new Error(`${answer.status} ${answer.body.toString('utf8', 0, 500)}`)
  return answer
}

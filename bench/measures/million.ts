/** `open-after-crash`, `list-million`: a drive with a million objects. Built once a run for both. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Prepared } from '../../test/agent/prepared.ts'
import { openConnection } from '../connection.ts'
import { type Agent, askDevice, BUCKET, startAgent } from '../device.ts'
import { load } from '../load.ts'
import { judge, median, type Row, rounded } from '../measure.ts'
import { buildMillion, MILLION, millionKey } from '../million-builder.ts'
import type { Place } from '../place.ts'
import { type Endpoint, requestHead, UNBOUNDED_SECONDS } from '../requests.ts'
import { type Run, settled } from '../rounds.ts'

const ROOM_BYTES = 4e9
/** What is put after the last checkpoint, and found again behind it. */
const TAIL_OBJECTS = 2_000
const MOST_ROUNDS = 3
const LISTINGS = 21
const BOUNDS = { kept: 5, rebuilt: 60 } as const
/** A round this many times over its bound is the last: no further one would change what is said of it. */
const HOPELESS = 1.5

const built = new WeakMap<Place, Promise<{ prepared: Prepared; objects: number }>>()

function million(run: Run): Promise<{ prepared: Prepared; objects: number }> {
  const found = built.get(run.place) ?? build(run)
  built.set(run.place, found)
  return found
}

async function build(run: Run): Promise<{ prepared: Prepared; objects: number }> {
  run.place.needRoom(ROOM_BYTES, 'a drive with a million objects')
  const prepared = await buildMillion(done => run.say(`a million objects: ${done}`))
  return { prepared, objects: MILLION }
}

async function endpointOf(prepared: Prepared, agent: Agent): Promise<Endpoint> {
  const credentials = await askDevice<Endpoint['credentials']>(prepared, 'credentials')
  return { port: agent.port, bucket: BUCKET, credentials }
}

export async function measureOpening(run: Run): Promise<Row[]> {
  const drive = await million(run)
  const { prepared } = drive
  const seconds = { kept: [] as number[], rebuilt: [] as number[] }
  const lost: string[] = []
  for (let round = 1; round <= Math.min(run.rounds, MOST_ROUNDS); round++)
    for (const index of ['kept', 'rebuilt'] as const) {
      if ((seconds[index].at(-1) ?? 0) > HOPELESS * BOUNDS[index]) continue
      const before = await startAgent(prepared)
      const keys = Array.from({ length: TAIL_OBJECTS }, (_, at) => `tail/${index}-${round}/${at}`)
      const endpoint = await endpointOf(prepared, before)
      const order = { ...endpoint, method: 'PUT', connections: 32, bodyBytes: 64, keys } as const
      await load({ ...order, mostSeconds: UNBOUNDED_SECONDS }, async () => undefined)
      drive.objects += keys.length
      await before.kill()
      const { job } = prepared
      if (index === 'rebuilt')
        for (const end of ['', '-wal', '-shm'])
          rmSync(join(prepared.state, `index-${job}.sqlite${end}`), { force: true })
      await settled(run)
      const agent = await startAgent(prepared)
      seconds[index].push(agent.readySeconds)
      run.say(`open-after-crash round ${round}, index ${index}: ${rounded(agent.readySeconds)} s`)
      const { objects } = await askDevice<{ objects: number }>(prepared, 'status')
      if (objects !== drive.objects) lost.push(`${objects} of ${drive.objects} objects are there, index ${index}`)
      await agent.stop()
    }
  const detail = { objects: drive.objects }
  const row = (name: string, values: number[], atMost: number): Row =>
    judge(
      name,
      's',
      { text: `<= ${atMost} s, nothing lost`, atMost },
      { ours: values, peers: {} },
      { unmet: lost, detail },
    )
  return [
    row('open-after-crash', seconds.kept, BOUNDS.kept),
    row('open-after-crash, index rebuilt', seconds.rebuilt, BOUNDS.rebuilt),
  ]
}

export async function measureListing(run: Run): Promise<Row[]> {
  const { prepared } = await million(run)
  const agent = await startAgent(prepared)
  try {
    const endpoint = await endpointOf(prepared, agent)
    const connection = await openConnection(agent.port)
    const listing = async (at: number): Promise<number> => {
      const head = listRequest(endpoint, millionKey(at).replace(/[^/]*$/, ''))
      const from = performance.now()
      const { status, bytes } = await connection.send(head, null, 0)
      // a page of a thousand entries is never this short
      if (status !== 200 || bytes < 100_000) throw new Error(`a listing answered ${status} with ${bytes} bytes`)
      return performance.now() - from
    }
    const [start, end]: [number[], number[]] = [[], []]
    for (let round = 0; round < LISTINGS + 1; round++)
      for (const [values, first] of [
        [start, 0],
        [end, MILLION - 1000],
      ] as const) {
        const ms = await listing(first)
        if (round > 0) values.push(ms)
      }
    connection.close()
    const target = { text: '<= 10 ms', atMost: 10 }
    const slower = (median(end) ?? 0) > 1.2 * (median(start) ?? 0)
    const unmet = slower ? ['more than 1.2 x the time at the start of the range'] : []
    return [
      judge('list-million, start of the range', 'ms', target, { ours: start, peers: {} }),
      judge('list-million, end of the range', 'ms', target, { ours: end, peers: {} }, { unmet }),
    ]
  } finally {
    await agent.stop()
  }
}

function listRequest(endpoint: Endpoint, prefix: string): Buffer {
  const rawQuery = `list-type=2&max-keys=1000&prefix=${encodeURIComponent(prefix)}`
  return requestHead(endpoint, { method: 'GET', rawPath: `/${endpoint.bucket}`, rawQuery }, 0, null)
}

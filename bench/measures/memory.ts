/** `memory`: the largest sum of PSS over all our processes while data goes through them, and while ten times as much does. */
import { pssOfTree } from '../../test/checks/copy-memory.ts'
import { type CorpusName, corpus, makeCorpus } from '../corpus.ts'
import { askDevice, BUCKET, openDevice } from '../device.ts'
import { load } from '../load.ts'
import { judge, type Row, rounded } from '../measure.ts'
import { perform } from '../program.ts'
import { sealedDrive, startProvider, takeIn } from '../provider.ts'
import { UNBOUNDED_SECONDS } from '../requests.ts'
import type { Run } from '../rounds.ts'

const WATCH_MS = 200
const LIMIT_MB = 350
/** The same for ten times the data: this much more is the allocator's whim. */
const MOST_GROWTH = 1.15
const TIMES = 10
const MANY_FILES = { files: 200_000, fileBytes: 1_000 }

export async function measureMemory(run: Run): Promise<Row[]> {
  run.place.needRoom(30e9, 'memory')
  const once = await deviceAtWork(run, 1)
  const tenfold = await deviceAtWork(run, TIMES)
  const provider = await providerAtWork(run)
  const growth = tenfold / once
  const target = { text: `<= ${LIMIT_MB} MB`, atMost: LIMIT_MB, counted: true as const }
  const unmet = growth > MOST_GROWTH ? [`${rounded(growth)} x that of a tenth of the data`] : []
  const row = (name: string, value: number, more: string[] = []): Row =>
    judge(name, 'MB', target, { ours: [value], peers: {} }, { unmet: more })
  return [
    row('memory, device', once),
    row('memory, device, 10 x the data', tenfold, unmet),
    row('memory, provider', provider),
  ]
}

async function deviceAtWork(run: Run, times: number): Promise<number> {
  const device = await openDevice({ mode: 'readable' })
  const peak = watch(device.agent.pid)
  try {
    const { prepared, endpoint } = device
    const copy = async (path: string, prefix: string): Promise<void> => {
      await askDevice(prepared, 'copy', path, `s3://${BUCKET}/${prefix}`)
      run.say(`memory, ${times} x: ${prefix}, peak so far ${rounded(peak.megabytes())} MB`)
    }
    for (const name of ['large', 'medium', 'small'] as CorpusName[]) {
      const { path } = corpus(run.place, name)
      // a small corpus tenfold is one of many files; the others come again under another name
      if (name === 'small' && times > 1) await copy(makeCorpus(run.place, 'many', MANY_FILES).path, 'many')
      else for (let time = 1; time <= times; time++) await copy(path, `${name}-${time}`)
    }
    const go = async (
      method: 'PUT' | 'GET',
      connections: number,
      bodyBytes: number,
      requests: number,
    ): Promise<void> => {
      const keys = Array.from({ length: requests }, (_, at) => `put-${bodyBytes}/${at}`)
      const order = { ...endpoint, method, connections, bodyBytes, keys, mostSeconds: UNBOUNDED_SECONDS }
      await load(order, async () => undefined)
      run.say(`memory, ${times} x: ${method} ${bodyBytes}, peak so far ${rounded(peak.megabytes())} MB`)
    }
    for (const method of ['PUT', 'GET'] as const) {
      await go(method, 32, 4_096, 2_000 * times)
      await go(method, 32, 100_000, 500 * times)
      await go(method, 2, 128 << 20, 2 * times)
    }
    await askDevice(prepared, 'seal')
    return peak.megabytes()
  } finally {
    peak.end()
    await device.close()
    await perform('rm', ['-rf', `${run.place.root}/corpus-many`])
  }
}

async function providerAtWork(run: Run): Promise<number> {
  const { place } = run
  const sources: [string, string][] = [
    [corpus(place, 'large').path, 'large'],
    [corpus(place, 'small').path, 'small'],
  ]
  const drive = await sealedDrive(place, 'memory-provider', sources)
  const hosted = await startProvider(drive.state, drive.owner)
  const peak = watch(hosted.pid)
  try {
    await takeIn(drive.state, drive)
    const found = await perform('find', [`${place.root}/corpus-small`, '-type', 'f', '-printf', '%P\\n'])
    const keys = found.split('\n').filter(key => key !== '')
    const of = { method: 'GET', bodyBytes: 0, mostSeconds: 20 } as const
    const small = { ...of, connections: 32, keys: keys.map(key => `small/${key}`) }
    await load({ ...hosted.endpoint, ...small }, async () => undefined)
    const large = ['large/d000/f0000000', 'large/d000/f0000001']
    await load({ ...hosted.endpoint, ...of, connections: 2, keys: large }, async () => undefined)
    return peak.megabytes()
  } finally {
    peak.end()
    await hosted.stop()
    await perform('rm', ['-rf', `${place.root}/memory-provider`])
  }
}

function watch(pid: number): { megabytes: () => number; end: () => void } {
  let peak = pssOfTree(pid)
  const timer = setInterval(() => {
    peak = Math.max(peak, pssOfTree(pid))
  }, WATCH_MS)
  return { megabytes: () => peak / 1e6, end: () => clearInterval(timer) }
}

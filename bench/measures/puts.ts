/** `put-4k`, `put-100k`, `put-large`: PUTs that are durable when they are answered, against WebDAV that is neither sealed nor durable. */
import { BUCKET, openDevice } from '../device.ts'
import { load } from '../load.ts'
import { judge, type Row, rounded, type Target } from '../measure.ts'
import { startNginx } from '../peers/nginx.ts'
import { perform } from '../program.ts'
import type { Endpoint, LoadResult } from '../requests.ts'
import { type Contender, contend, type Run, settled } from '../rounds.ts'

export type PutName = 'put-4k' | 'put-100k' | 'put-large'
/** of a round; whoever is fast has sent all before */
const MOST_SECONDS = 6

type Shape = { requests: number; bodyBytes: number; connections: number; target: Target }

const SHAPES: Readonly<Record<PutName, Shape>> = {
  'put-4k': {
    requests: 20_000,
    bodyBytes: 4_096,
    connections: 32,
    target: { text: '>= 1 x nginx', ratios: { nginx: 1 } },
  },
  'put-100k': {
    requests: 4_000,
    bodyBytes: 100_000,
    connections: 32,
    target: { text: '>= 0.6 x nginx', ratios: { nginx: 0.6 } },
  },
  'put-large': {
    requests: 2,
    bodyBytes: 512 << 20,
    connections: 2,
    target: { text: '>= 0.5 x nginx', ratios: { nginx: 0.5 } },
  },
}

export async function measurePut(run: Run, name: PutName): Promise<Row[]> {
  const shape = SHAPES[name]
  const { target, requests, bodyBytes } = shape
  run.place.needRoom(2 * requests * Math.max(bodyBytes, 8192) * (run.rounds + 1) * 1.1, name)
  const device = await openDevice()
  const nginx = await startNginx(run.place, name)
  try {
    const waits: number[] = []
    const synced: number[] = []
    const of = (who: string, endpoint: Endpoint, after: (result: LoadResult) => Promise<void>): Contender => ({
      name: who,
      async round(directory) {
        const result = await putRound(run, shape, endpoint, directory)
        await after(result)
        return rateOf(shape, result, 0)
      },
    })
    const contenders = [
      of('ours', device.endpoint, async result => {
        waits.push(result.p99Ms)
      }),
    ]
    if (nginx !== null)
      contenders.push(
        of('nginx', { ...device.endpoint, port: nginx.port }, async result => {
          const from = performance.now()
          await perform('sync', ['-f', nginx.root])
          synced.push(rateOf(shape, result, (performance.now() - from) / 1000))
        }),
      )
    const rounds = await contend(run, name, target, contenders)
    // the first is the warm-up's
    const peers = { ...rounds.peers, ...(synced.length > 1 && { 'nginx + syncfs': synced.slice(-run.rounds) }) }
    const detail = { p99Ms: waits.slice(-run.rounds).map(rounded) }
    const unit = name === 'put-large' ? 'MB/s' : 'requests/s'
    return [judge(name, unit, target, { ours: rounds.ours, peers }, { detail })]
  } finally {
    await nginx?.stop()
    await device.close()
  }
}

const rateOf = ({ requests, bodyBytes }: Shape, { answered, seconds }: LoadResult, more: number): number =>
  (requests === 2 ? (answered * bodyBytes) / 1e6 : answered) / (seconds + more)

function putRound(run: Run, shape: Shape, endpoint: Endpoint, directory: string): Promise<LoadResult> {
  const prefix = directory.split('/').at(-1) ?? ''
  const { requests, bodyBytes, connections } = shape
  const keys = Array.from({ length: requests }, (_, at) => `${prefix}/c${at % connections}/${at}`)
  const order = { ...endpoint, bucket: BUCKET, method: 'PUT', connections, bodyBytes, keys } as const
  return load({ ...order, mostSeconds: MOST_SECONDS }, () => settled(run))
}

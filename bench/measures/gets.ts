/** `get-large`, `get-4k`: decrypted reads from the device and, after an intake, from the hosted store, against a static file. */
import { mkdirSync } from 'node:fs'
import { corpus } from '../corpus.ts'
import { askDevice, BUCKET, startAgent } from '../device.ts'
import { load } from '../load.ts'
import { judge, type Row, type Target } from '../measure.ts'
import { startNginx } from '../peers/nginx.ts'
import { perform } from '../program.ts'
import { fillAndSeal, order, startProvider, takeIn } from '../provider.ts'
import type { Endpoint } from '../requests.ts'
import { type Contender, contend, type Run, settled } from '../rounds.ts'

const SHAPES = {
  'get-large': { corpus: 'large', connections: 2, target: { text: '>= 0.4 x nginx', ratios: { nginx: 0.4 } } },
  'get-4k': { corpus: 'small', connections: 32, target: { text: '>= 0.2 x nginx', ratios: { nginx: 0.2 } } },
} as const
const PREFIX = 'files'
/** of a round; whoever is fast has read all before */
const MOST_SECONDS = 6

export async function measureGet(run: Run, name: keyof typeof SHAPES): Promise<Row[]> {
  const { place } = run
  const shape = SHAPES[name]
  const target: Target = shape.target
  const files = corpus(place, shape.corpus)
  place.needRoom(files.bytes * 5, name)
  const found = await perform('find', [files.path, '-type', 'f', '-printf', '%P\\n'])
  const keys = found
    .split('\n')
    .filter(key => key !== '')
    .map(key => `${PREFIX}/${key}`)
  const ordered = await order(place, name, 'readable')
  const agent = await startAgent(ordered.device)
  const hosted = await startProvider(ordered.state, ordered.owner)
  const nginx = await startNginx(place, name)
  try {
    const drive = await fillAndSeal(ordered, agent, [[files.path, PREFIX]])
    await takeIn(ordered.state, drive)
    const credentials = await askDevice<Endpoint['credentials']>(ordered.device, 'credentials')
    const device = { port: agent.port, bucket: BUCKET, credentials }
    const of = (who: string, endpoint: Endpoint): Contender => ({
      name: who,
      async round() {
        const { connections } = shape
        const ready = (): Promise<void> => settled(run)
        const order = {
          ...endpoint,
          method: 'GET',
          connections,
          bodyBytes: 0,
          keys,
          mostSeconds: MOST_SECONDS,
        } as const
        const result = await load(order, ready)
        const wanted = result.answered * files.fileBytes
        if (result.bytes !== wanted) throw new Error(`${who} gave ${result.bytes} of ${wanted} bytes`)
        return (name === 'get-large' ? result.bytes / 1e6 : result.answered) / result.seconds
      },
    })
    const contenders = [of('device', device), of('hosted', hosted.endpoint)]
    if (nginx !== null) {
      mkdirSync(`${nginx.root}/${BUCKET}`)
      await perform('cp', ['-r', files.path, `${nginx.root}/${BUCKET}/${PREFIX}`])
      contenders.push(of('nginx', { ...device, port: nginx.port }))
    }
    const { ours, peers } = await contend(run, name, target, contenders)
    const { hosted: hostedRounds = [], ...plain } = peers
    const unit = name === 'get-large' ? 'MB/s' : 'requests/s'
    return [
      judge(`${name} device`, unit, target, { ours, peers: plain }),
      judge(`${name} hosted`, unit, target, { ours: hostedRounds, peers: plain }),
    ]
  } finally {
    await nginx?.stop()
    await hosted.stop()
    await agent.stop()
    await perform('rm', ['-rf', `${place.root}/${name}`])
  }
}

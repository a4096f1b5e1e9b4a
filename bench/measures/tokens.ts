/** `token-ops`: how often the token is asked when many objects are written, and that its speed does not matter. */
import { parsePkcs11Uri } from '../../hsm/pkcs11-uri.ts'
import { corpus } from '../corpus.ts'
import { askDevice, type BenchDevice, BUCKET, openDevice } from '../device.ts'
import { judge, type Row, type Target } from '../measure.ts'
import { type Contender, contend, type Run, untilDurable } from '../rounds.ts'
import { makeSlowToken } from '../slow-token.ts'

const MOST_ROUNDS = 3
const SLOW: Target = { text: '>= 0.95 x a usual token', ratios: { 'usual token': 0.95 } }

export async function measureTokens(run: Run): Promise<Row[]> {
  const files = corpus(run.place, 'small')
  run.place.needRoom(files.bytes * 2.5 * (run.rounds + 1), 'token-ops')
  const uri = await makeSlowToken(run.place)
  const usual = await openDevice()
  const slow = await openDevice({ token: parsePkcs11Uri(uri) }, ['--token', uri])
  try {
    const before = await operationsOf(usual)
    const copies = { made: 0 }
    const of = (name: string, { prepared }: BenchDevice): Contender => ({
      name,
      async round(directory) {
        const prefix = directory.split('/').at(-1) ?? ''
        if (prepared === usual.prepared) copies.made++
        const copy = (): Promise<unknown> => askDevice(prepared, 'copy', files.path, `s3://${BUCKET}/${prefix}`)
        return files.files / (await untilDurable(run, { from: files.path, to: prepared.drive }, copy))
      },
    })
    const contenders = [of('slow token', slow), of('usual token', usual)]
    const few = { ...run, rounds: Math.min(run.rounds, MOST_ROUNDS) }
    const rounds = await contend(few, 'token-ops', SLOW, contenders)
    const objects = copies.made * files.files
    const operations = (await operationsOf(usual)) - before
    const target = { text: '<= 20 per 10,000 objects', atMost: 20, counted: true as const }
    const detail = { operations, objects }
    const perTenThousand = (operations / objects) * 10_000
    return [
      judge('token-ops', 'per 10,000 objects', target, { ours: [perTenThousand], peers: {} }, { detail }),
      judge('token-ops, 100 ms a call', 'files/s', SLOW, rounds),
    ]
  } finally {
    await slow.close()
    await usual.close()
  }
}

async function operationsOf({ prepared }: BenchDevice): Promise<number> {
  return (await askDevice<{ tokenOperations: number }>(prepared, 'status')).tokenOperations
}

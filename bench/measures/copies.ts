/** `copy-large`, `copy-medium`, `copy-small`: a directory onto the drive, sealed and durable. */
import { type Corpus, type CorpusName, corpus } from '../corpus.ts'
import { askDevice, BUCKET, openDevice } from '../device.ts'
import { judge, type Row, type Target } from '../measure.ts'
import { copiers } from '../peers/copiers.ts'
import { type Contender, contend, type Run, untilDurable } from '../rounds.ts'

const TARGETS: Readonly<Record<CorpusName, Target>> = {
  large: { text: '>= 0.6 x cp, >= 2 x rclone crypt', ratios: { cp: 0.6, 'rclone crypt': 2 } },
  medium: {
    text: '>= 0.8 x cp, >= 1.5 x rclone crypt, >= 2 x restic',
    ratios: { cp: 0.8, 'rclone crypt': 1.5, restic: 2 },
  },
  small: {
    text: '>= 0.35 x cp, >= 1.5 x rclone crypt, >= 1.5 x restic',
    ratios: { cp: 0.35, 'rclone crypt': 1.5, restic: 1.5 },
  },
}
const CONTENDERS = 5

export async function measureCopy(run: Run, name: CorpusName): Promise<Row[]> {
  const files = corpus(run.place, name)
  const rounds = run.place.roundsThatFit(run.rounds, files.bytes * CONTENDERS * 1.1, `copy-${name}`)
  const [amount, unit] = name === 'large' ? [files.bytes / 1e6, 'MB/s'] : [files.files, 'files/s']
  const device = await openDevice()
  try {
    const ours: Contender = { name: 'ours', round: directory => ourCopy(run, device, files, amount, directory) }
    const target = TARGETS[name]
    const contenders = [ours, ...(await copiers(run, files, amount))]
    return [judge(`copy-${name}`, unit, target, await contend({ ...run, rounds }, `copy-${name}`, target, contenders))]
  } finally {
    await device.close()
  }
}

/** `sealift copy`, from the start of its process; the agent that it asks serves already. Each round has a prefix of its own. */
async function ourCopy(
  run: Run,
  device: Awaited<ReturnType<typeof openDevice>>,
  files: Corpus,
  amount: number,
  directory: string,
): Promise<number> {
  const prefix = directory.split('/').at(-1) ?? ''
  let copied = 0
  const seconds = await untilDurable(run, { from: files.path, to: device.prepared.drive }, async () => {
    const result = await askDevice<{ files: number }>(device.prepared, 'copy', files.path, `s3://${BUCKET}/${prefix}`)
    copied = result.files
  })
  if (copied !== files.files) throw new Error(`${copied} of ${files.files} files were copied`)
  return amount / seconds
}

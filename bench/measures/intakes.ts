/** `intake-large`, `intake-small`: a sealed drive is verified, proved, moved and registered, against a plain copy of the same drive. */
import { corpus } from '../corpus.ts'
import { judge, type Row, rounded, type Target } from '../measure.ts'
import { cp } from '../peers/copiers.ts'
import { perform } from '../program.ts'
import { copyProvider, sealedDrive, startProvider, takeIn } from '../provider.ts'
import { type Contender, contend, type Run, untilDurable } from '../rounds.ts'

/** Three times the small corpus. */
const SMALL_PREFIXES = ['a', 'b', 'c']
/** of the small one: each takes a minute where intake is slow */
const MOST_ROUNDS = 3
const TARGETS: Readonly<Record<'large' | 'small', Target>> = {
  large: { text: '>= 0.4 x cp', ratios: { cp: 0.4 } },
  small: { text: '>= 15000 objects/s', atLeast: 15_000 },
}

export async function measureIntake(run: Run, name: 'large' | 'small'): Promise<Row[]> {
  const { place } = run
  const files = corpus(place, name)
  const prefixes = name === 'large' ? ['a'] : SMALL_PREFIXES
  const bytes = files.bytes * prefixes.length
  place.needRoom(bytes * 2.5 * (run.rounds + 2), `intake-${name}`)
  const sources = prefixes.map((prefix): [string, string] => [files.path, prefix])
  const drive = await sealedDrive(place, `intake-${name}`, sources)
  const amount = name === 'large' ? bytes / 1e6 : drive.objects
  const from = drive.device.drive
  const ours: Contender = {
    name: 'ours',
    async round(directory) {
      const state = await copyProvider(drive.state, directory)
      const hosted = await startProvider(state, drive.owner)
      try {
        return amount / (await untilDurable(run, { from, to: directory }, () => takeIn(state, drive)))
      } finally {
        await hosted.stop()
      }
    },
  }
  const plain = cp(from)
  const peer: Contender = {
    name: 'cp',
    round: async directory => amount / (await untilDurable(run, { from, to: directory }, () => plain.copy(directory))),
  }
  try {
    const target = TARGETS[name]
    const few = name === 'small' ? { ...run, rounds: Math.min(run.rounds, MOST_ROUNDS) } : run
    const rounds = await contend(few, `intake-${name}`, target, [ours, peer])
    const detail = { objects: drive.objects, megabytes: rounded(bytes / 1e6) }
    return [judge(`intake-${name}`, name === 'large' ? 'MB/s' : 'objects/s', target, rounds, { detail })]
  } finally {
    await perform('rm', ['-rf', `${place.root}/intake-${name}`])
  }
}

/**
 * The procedure: rounds of all contenders in turn after one of each that does not count, each in a new directory, nothing deleted before
 * the last has ended, the disk at rest before each start, time taken until everything is on the disk.
 */
import { rmSync } from 'node:fs'
import { warm } from './corpus.ts'
import { noisyPeers, type Rounds, rounded, type Target } from './measure.ts'
import type { Place } from './place.ts'
import { perform } from './program.ts'

/** `round` gets a new directory and answers with its rate. It prepares untimed, then times with `untilDurable` or `settled`. */
export type Contender = { name: string; round: (directory: string) => Promise<number> }
export type Run = {
  place: Place
  /** that count */
  rounds: number
  /** a measure that has taken longer than this ends after its third round */
  patienceMs: number
  say: (line: string) => void
  /** performance.now() after which a noisy measure is not begun again */
  deadline: number
}

const REPEATS = 3
const LEAST_ROUNDS = 3

/** Waits for a disk at rest. */
export async function settled(run: Run): Promise<void> {
  if (!(await run.place.settle())) run.say('the disk did not come to rest; something else writes to it')
}

/** Seconds from the start of `work` to the return of syncfs on the file system of `to`; all below `from` is in memory at the start. */
export async function untilDurable(
  run: Run,
  { from, to }: { from: string; to: string },
  work: () => Promise<unknown>,
): Promise<number> {
  warm(from)
  await settled(run)
  const start = performance.now()
  await work()
  await perform('sync', ['-f', to])
  return (performance.now() - start) / 1000
}

/** All rounds of a measure; again, up to three times, when a peer of the target was too noisy. The first contender is ours. */
export async function contend(run: Run, name: string, target: Target, contenders: Contender[]): Promise<Rounds> {
  for (let repeat = 0; ; repeat++) {
    const found = await allRounds(run, `${name}-${repeat}`, contenders)
    const noisy = noisyPeers(target, found)
    if (noisy.length === 0) return found
    const late = performance.now() > run.deadline
    run.say(`${name}: ${noisy.join(', ')} differ by more than 30 %${late ? '; no time to do it again' : ''}`)
    if (late || repeat === REPEATS || run.rounds < 2) return found
  }
}

async function allRounds(run: Run, name: string, contenders: Contender[]): Promise<Rounds> {
  const values = new Map(contenders.map(each => [each.name, [] as number[]]))
  const directories: string[] = []
  const from = performance.now()
  try {
    for (let round = 0; round <= run.rounds; round++) {
      if (round > LEAST_ROUNDS && performance.now() - from > run.patienceMs) break
      for (const contender of contenders) {
        const directory = run.place.make(`${name}-${round}-${contender.name.replace(/\W+/g, '-')}`)
        directories.push(directory)
        const value = await contender.round(directory)
        if (round > 0) values.get(contender.name)?.push(value)
        run.say(`${name} ${round === 0 ? 'warm-up' : `round ${round}`}: ${contender.name} ${rounded(value)}`)
      }
    }
  } finally {
    for (const directory of directories) rmSync(directory, { recursive: true, force: true })
  }
  const [ours, ...peers] = contenders.map(each => each.name)
  return {
    ours: values.get(ours ?? '') ?? [],
    peers: Object.fromEntries(peers.map(peer => [peer, values.get(peer) ?? []])),
  }
}

/** What people copy a directory with: plainly, and sealed. Each a process of its own, durable by the syncfs that follows it. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Corpus } from '../corpus.ts'
import type { Place } from '../place.ts'
import { perform, programPath } from '../program.ts'
import { type Contender, type Run, untilDurable } from '../rounds.ts'

/** `amount` of a copy over its seconds is the rate. */
export async function copiers(run: Run, corpus: Corpus, amount: number): Promise<Contender[]> {
  const found = [cp(corpus.path), await tarAge(run.place, corpus), await rcloneCrypt(corpus), restic(run.place, corpus)]
  return found
    .filter(each => each !== null)
    .map(({ name, prepare, copy }) => ({
      name,
      async round(directory) {
        await prepare(directory)
        return amount / (await untilDurable(run, { from: corpus.path, to: directory }, () => copy(directory)))
      },
    }))
}

type Copier = { name: string; prepare: (to: string) => Promise<unknown>; copy: (to: string) => Promise<unknown> }
const nothing = async (): Promise<void> => undefined

export function cp(from: string): Copier {
  return { name: 'cp', prepare: nothing, copy: to => perform('cp', ['-r', from, join(to, 'copy')]) }
}

async function tarAge(place: Place, corpus: Corpus): Promise<Copier | null> {
  const age = programPath('age')
  if (age === null) return null
  const identity = join(place.make('peer-age'), 'identity')
  await perform('rm', ['-f', identity])
  await perform(age.replace(/age$/, 'age-keygen'), ['-o', identity])
  const recipient = /public key: (\S+)/.exec(readFileSync(identity, 'utf8'))?.[1] ?? ''
  const script = 'tar -C "$1" -c . | "$2" -r "$3" -o "$4"'
  return {
    name: 'tar|age',
    prepare: nothing,
    copy: to =>
      perform('bash', ['-o', 'pipefail', '-c', script, 'sh', corpus.path, age, recipient, join(to, 'tar.age')]),
  }
}

async function rcloneCrypt(corpus: Corpus): Promise<Copier | null> {
  const rclone = programPath('rclone')
  if (rclone === null) return null
  const obscured = (await perform(rclone, ['obscure', '-'], { input: randomBytes(24).toString('hex') })).trim()
  return {
    name: 'rclone crypt',
    prepare: nothing,
    copy: to =>
      perform(rclone, ['copy', corpus.path, 'sealed:'], {
        env: {
          RCLONE_CONFIG: '/dev/null',
          RCLONE_CONFIG_SEALED_TYPE: 'crypt',
          RCLONE_CONFIG_SEALED_REMOTE: to,
          RCLONE_CONFIG_SEALED_PASSWORD: obscured,
        },
      }),
  }
}

function restic(place: Place, corpus: Corpus): Copier | null {
  const path = programPath('restic')
  if (path === null) return null
  const env = {
    RESTIC_PASSWORD: randomBytes(24).toString('hex'),
    RESTIC_CACHE_DIR: place.make('peer-restic-cache'),
    HOME: place.root,
  }
  const repository = (to: string): string[] => ['--quiet', '--repo', join(to, 'repository')]
  return {
    name: 'restic',
    prepare: to => perform(path, [...repository(to), 'init'], { env }),
    copy: to => perform(path, [...repository(to), 'backup', corpus.path], { env }),
  }
}

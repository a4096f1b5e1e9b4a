/**
 * `npm run bench -- NAME… [--json] [--rounds N] [--profile] [--place DIR]`: our figures beside those of the programs people use otherwise,
 * measured in the same run on the same disk. docs/performance.md explains each. Exit 0 when all ran, met or not.
 */
import { parseArgs } from 'node:util'
import { jsonLine, judge, type Row, tableLines } from './measure.ts'
import { ALL, MEASURES } from './measures/all.ts'
import { describeMachine, openPlace } from './place.ts'
import { printProfile, profileInto } from './profile.ts'
import { describeVersions, endDescendants, installMissing } from './program.ts'

const USAGE = 2
/** `all` is to end within 40 minutes: what is longer than this ends after three rounds, and nothing noisy is begun again after that */
const PATIENCE_MS = 75_000
const REPEATS_UNTIL_MS = 12 * 60_000

const { values: flags, positionals } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    profile: { type: 'boolean', default: false },
    place: { type: 'string', default: process.env.TMPDIR ?? '/var/tmp' },
  },
  allowPositionals: true,
})
const say = (line: string): void => void process.stderr.write(`${line}\n`)
const names = positionals.flatMap(name => (name === 'all' ? ALL : [name]))
const unknown = names.filter(name => !MEASURES.has(name))
const rounds = Number(flags.rounds ?? (flags.profile ? 1 : 5))
if (names.length === 0 || unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
  for (const name of unknown) say(`bench: there is no measure ${name}`)
  say(
    `npm run bench -- NAME… [--json] [--rounds N] [--profile] [--place DIR]\nNAME: ${[...MEASURES.keys(), 'all'].join(' ')}`,
  )
  process.exit(USAGE)
}

installMissing(say)
const place = openPlace(flags.place)
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    endDescendants()
    place.remove()
    process.exit(1)
  })
// the fixtures make their devices below the temporary directory
process.env.TMPDIR = place.root
const started = performance.now()
const all = positionals.includes('all')
const deadline = all ? started + REPEATS_UNTIL_MS : Number.POSITIVE_INFINITY
const patienceMs = all ? PATIENCE_MS : Number.POSITIVE_INFINITY
const versions = describeVersions()
const machine = describeMachine(place)
const rows: Row[] = []
try {
  for (const name of names) {
    const from = performance.now()
    if (flags.profile) profileInto(place.make(`profile-${name}`))
    const found = await measured(name)
    rows.push(...found)
    if (flags.json) for (const row of found) process.stdout.write(`${jsonLine(row, versions, machine)}\n`)
    if (flags.profile) printProfile(say)
    say(`${name}: ${((performance.now() - from) / 1000).toFixed(0)} s`)
  }
} finally {
  place.remove()
}
if (!flags.json) {
  process.stdout.write(`${tableLines(rows).join('\n')}\n`)
  process.stdout.write(`${JSON.stringify({ versions, machine })}\n`)
}

/** A measure that breaks is a row too, and the exit code says so. */
async function measured(name: string): Promise<Row[]> {
  try {
    const run = { place, rounds, patienceMs, say, deadline }
    const found = (await MEASURES.get(name)?.(run)) ?? []
    return flags.profile ? found.map(row => ({ ...row, met: false, unmet: ['measured under the profiler'] })) : found
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    say(`${name}: ${error instanceof Error ? error.stack : message}`)
    process.exitCode = 1
    return [judge(name, '', { text: '' }, { ours: [], peers: {} }, { unmet: [`could not be measured: ${message}`] })]
  }
}

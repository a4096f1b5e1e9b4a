/**
 * `npm run check:faults -- [kill blocks full eio vanish token clock] [--rounds N] [--seed S] [--json]`: what a client was told is safe stays
 * safe, whatever fails. Exit 0: 0 lost, 0 wrong; 1: not so; 69: something that it needs is missing.
 */
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { killRounds } from '../agent/killing.ts'
import { checkBlocks } from './faults/blocks.ts'
import { checkClock, faketimeLibrary } from './faults/clock.ts'
import { checkEio } from './faults/eio.ts'
import { checkFull } from './faults/full.ts'
import { seeded } from './faults/random.ts'
import { type Findings, type PartReport, partLines } from './faults/report.ts'
import { checkToken } from './faults/token.ts'
import { checkVanish } from './faults/vanish.ts'
import { hasProgram, requirePackages } from './packages.ts'

type Part = { needs: string[]; root: boolean; rounds: number; run: (rounds: number) => Promise<Findings> }

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { rounds: { type: 'string' }, seed: { type: 'string' }, json: { type: 'boolean', default: false } },
    })
    const number = (name: string, text: string | undefined): number | null => {
      if (text === undefined) return null
      if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name} ${text}: wanted a number`)
      return Number(text)
    }
    return { ...values, rounds: number('rounds', values.rounds), seed: number('seed', values.seed), names: positionals }
  } catch (cause) {
    console.error(`check:faults: ${cause instanceof Error ? cause.message : cause}`)
    process.exit(2)
  }
}

const given = readArguments()
const seed = given.seed ?? Math.floor(Math.random() * 2 ** 30)
const say = (text: string): void => void process.stderr.write(`${text}\n`)
const everySoManyRounds = (round: number): void => {
  if (round > 0 && round % 50 === 0) say(`kill: ${round} rounds`)
}

const QEMU = ['qemu-system-common', 'qemu-utils']
const parts: Record<string, Part> = {
  kill: {
    needs: [],
    root: false,
    rounds: 200,
    run: rounds => killRounds({ rounds, random: seeded(seed, 'kill'), onRound: everySoManyRounds }),
  },
  blocks: { needs: QEMU, root: true, rounds: 300, run: rounds => checkBlocks(rounds, seed, say) },
  full: { needs: ['gcc', 'libc6-dev'], root: true, rounds: 1, run: () => checkFull() },
  eio: { needs: ['gcc', 'libc6-dev'], root: false, rounds: 1, run: () => checkEio() },
  vanish: { needs: ['gcc', 'libc6-dev', 'xfsprogs'], root: true, rounds: 20, run: rounds => checkVanish(rounds, seed) },
  token: { needs: [], root: false, rounds: 20, run: rounds => checkToken(rounds, seed) },
  clock: { needs: ['libfaketime'], root: false, rounds: 3, run: rounds => checkClock(rounds, seed) },
}
const present: Record<string, () => boolean> = {
  'qemu-system-common': () => hasProgram('qemu-storage-daemon'),
  'qemu-utils': () => hasProgram('qemu-img'),
  gcc: () => hasProgram('gcc'),
  'libc6-dev': () => existsSync('/usr/include/dlfcn.h'),
  xfsprogs: () => hasProgram('xfs_io'),
  libfaketime: () => faketimeLibrary() !== null,
}

const names = given.names.length > 0 ? given.names : Object.keys(parts)
const unknown = names.find(name => parts[name] === undefined)
if (unknown !== undefined) {
  console.error(`check:faults: ${unknown}: wanted some of ${Object.keys(parts).join(', ')}`)
  process.exit(2)
}
const chosen = Object.entries(parts).flatMap(([name, part]) => (names.includes(name) ? [{ name, part }] : []))
requirePackages([...new Set(chosen.flatMap(each => each.part.needs))].filter(name => present[name]?.() === false))
const mounting = chosen.filter(each => each.part.root).map(each => each.name)
if (mounting.length > 0 && (process.getuid?.() !== 0 || !existsSync('/dev/loop-control') || !existsSync('/dev/fuse'))) {
  console.error(
    `check:faults: ${mounting.join(', ')} mount file systems of their own: run it as root, with /dev/loop-control and /dev/fuse`,
  )
  process.exit(69)
}

say(`seed ${seed}: --seed ${seed} chooses the same moments again`)
const reports: PartReport[] = []
for (const { name, part } of chosen) {
  const started = performance.now()
  const found = await part.run(given.rounds ?? part.rounds)
  const report: PartReport = { part: name, ...found, seconds: (performance.now() - started) / 1000 }
  reports.push(report)
  if (given.json) console.log(JSON.stringify({ ...report, seed }))
  else for (const line of partLines(report)) console.log(line)
}
const lost = reports.reduce((sum, each) => sum + each.lost.length, 0)
const wrong = reports.reduce((sum, each) => sum + each.wrong.length, 0)
if (given.json) console.log(JSON.stringify({ seed, lost, wrong }))
else console.log(`${lost} lost, ${wrong} wrong`)
process.exitCode = lost + wrong > 0 ? 1 : 0

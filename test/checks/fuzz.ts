/**
 * `npm run check:fuzz -- [part of a parser's name …] [--seconds N] [--seed S] [--json]`: changed samples and made-up values against every parser of
 * bytes that come from elsewhere. Exit 0: 0 crashed, 0 hung, 0 beyond memory. What fails is kept in fuzz/seeds.json and tried first from then on.
 */
import { fork } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Found, Task, Told } from './fuzz/child-main.ts'
import { PARSERS } from './fuzz/parsers.ts'

const CHILD = fileURLToPath(new URL('./fuzz/child-main.ts', import.meta.url))
const SEEDS = fileURLToPath(new URL('./fuzz/seeds.json', import.meta.url))
const AT_ONCE = 2
/** No input of 256 KiB may take longer; the machine may be busy. */
const HANG_MS = 5000
const HEAP_MIB = 256
/** Samples are made first: keys, certificates, a drive. */
const START_MS = 30_000

type Seed = { parser: string; input: string; what: string }
type Verdict = Omit<Found, 'what'> & { what: Found['what'] | 'hung' }

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        seconds: { type: 'string', default: '180' },
        seed: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    })
    for (const [name, text] of Object.entries({ seconds: values.seconds, seed: values.seed ?? '0' }))
      if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name} ${text}: wanted a number`)
    const parsers = PARSERS.map(each => each.name).filter(
      name => positionals.length === 0 || positionals.some(part => name.includes(part)),
    )
    if (parsers.length === 0) throw new Error(`no parser is called ${positionals.join(', ')}`)
    return { parsers, seconds: Number(values.seconds), seed: values.seed, json: values.json }
  } catch (cause) {
    console.error(`check:fuzz: ${cause instanceof Error ? cause.message : cause}`)
    process.exit(2)
  }
}

const { parsers, seconds, json, seed: given } = readArguments()
const seed = Number(given ?? Math.floor(Math.random() * 2 ** 30))
const seeds = JSON.parse(readFileSync(SEEDS, 'utf8')) as Seed[]
const directory = mkdtempSync(join(tmpdir(), 'sealift-fuzz-'))
const verdicts: Verdict[] = []
const counts: { parser: string; tried: number; refused: number }[] = []
const waiting = parsers.map(
  (parser): Task => ({
    parser,
    seed,
    milliseconds: Math.max(20, (seconds * 1000 * AT_ONCE) / parsers.length),
    replay: seeds.filter(each => each.parser === parser).map(each => each.input),
  }),
)

/** A child for as many parsers as it outlives. */
async function work(number: number): Promise<void> {
  const state = join(directory, `input-${number}`)
  while (waiting.length > 0) {
    const child = fork(CHILD, [state], {
      execArgv: [`--max-old-space-size=${HEAP_MIB}`],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    let said = ''
    child.stderr?.on('data', chunk => {
      said = (said + String(chunk)).slice(-1500)
    })
    let task = waiting.shift()
    let changedAt = performance.now()
    let last = ''
    let hung = false
    const next = (): void => {
      last = ''
      changedAt = performance.now()
      child.send(task ?? 'end')
    }
    child.on('message', (told: Told) => {
      if ('found' in told) verdicts.push(told.found)
      else {
        counts.push(told.done)
        task = waiting.shift()
        next()
      }
    })
    const watch = setInterval(() => {
      const now = inputIn(state)
      if (now !== last) changedAt = performance.now()
      last = now
      if (task === undefined || performance.now() - changedAt < (now === '' ? START_MS : HANG_MS)) return
      hung = true
      child.kill('SIGKILL')
    }, 200)
    next()
    const code = await new Promise(resolve => child.once('close', (status, signal) => resolve(signal ?? status)))
    clearInterval(watch)
    if (task === undefined) continue
    // it died under this parser; the input is still in the file
    const what = hung ? 'hung' : /heap out of memory/.test(said) ? 'beyond memory' : 'crashed'
    verdicts.push({
      parser: task.parser,
      what,
      input: inputIn(state),
      error: hung ? '' : `the process ended with ${code}: ${said}`,
    })
    counts.push({ parser: task.parser, tried: 0, refused: 0 })
  }
}

/** The input under way, base64; empty before the first. */
function inputIn(state: string): string {
  try {
    const file = openSync(state, 'r')
    try {
      const head = Buffer.alloc(4)
      if (readSync(file, head, 0, 4, 0) < 4) return ''
      const input = Buffer.alloc(Math.min(head.readUInt32LE(0), 1 << 20))
      return input.subarray(0, readSync(file, input, 0, input.length, 4)).toString('base64')
    } finally {
      closeSync(file)
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}

const started = performance.now()
try {
  await Promise.all(Array.from({ length: AT_ONCE }, (_, number) => work(number)))
} finally {
  rmSync(directory, { recursive: true })
}
for (const { parser, what, input } of verdicts)
  if (
    input.length < 1 << 16 &&
    !seeds.some(each => each.parser === parser && each.input === input) &&
    seeds.filter(each => each.parser === parser).length < 20
  )
    seeds.push({ parser, input, what })
if (verdicts.length > 0) writeFileSync(SEEDS, `${JSON.stringify(seeds, null, 2)}\n`)
const total = { crashed: 0, hung: 0, 'beyond memory': 0 }
for (const { what } of verdicts) total[what]++
const tried = counts.reduce((sum, each) => sum + each.tried, 0)
if (json) {
  for (const each of counts) console.log(JSON.stringify(each))
  for (const each of verdicts) console.log(JSON.stringify(each))
  console.log(JSON.stringify({ seed, parsers: parsers.length, tried, ...total }))
} else {
  for (const each of counts.toSorted((a, b) => (a.parser < b.parser ? -1 : 1)))
    console.log(
      `${each.parser.padEnd(34)} ${each.tried.toLocaleString('en-US').padStart(10)} inputs, ${each.refused.toLocaleString('en-US')} refused`,
    )
  const shown = new Set<string>()
  for (const { parser, what, input, error } of verdicts) {
    // one of a kind
    const kind = `${parser} ${what} ${error.split(':')[0]} ${/\n\s+at [^\n]*/.exec(error)?.[0] ?? ''}`
    if (shown.has(kind)) continue
    shown.add(kind)
    console.log(`\n${parser}: ${what}\n  input ${input.slice(0, 400)}\n  ${error.split('\n').slice(0, 5).join('\n  ')}`)
  }
  console.log(
    `\nseed ${seed}, ${parsers.length} parsers, ${tried.toLocaleString('en-US')} inputs in ${((performance.now() - started) / 1000).toFixed(0)} s`,
  )
  console.log(`${total.crashed} crashed, ${total.hung} hung, ${total['beyond memory']} beyond memory`)
}
process.exitCode = verdicts.length > 0 ? 1 : 0

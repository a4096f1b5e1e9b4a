/**
 * The tests: `npm test -- [part of a file name …] [--jobs N] [--tests DIR]`. A process a file, two at a time; the last line of stdout
 * is `N passed, N failed`; exit 1 when any failed or none passed, 2 for a wrong argument.
 */
import fs from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { type FileResult, runTestFile } from './harness/test-file.ts'

const top = path.dirname(import.meta.dirname)

function testFiles(directory: string, parts: readonly string[]): string[] {
  const found: string[] = []
  const visit = (at: string) => {
    for (const entry of fs.readdirSync(at, { withFileTypes: true })) {
      const file = path.join(at, entry.name)
      // fixtures are test files that fail on purpose; the harness's own tests run them
      if (entry.isDirectory() && entry.name !== 'fixtures') visit(file)
      else if (entry.isFile() && entry.name.endsWith('.test.ts')) found.push(file)
    }
  }
  visit(directory)
  const wanted = (file: string) => parts.length === 0 || parts.some(part => path.relative(top, file).includes(part))
  return found.filter(wanted).sort()
}

async function runAll(files: readonly string[], jobs: number, signal: AbortSignal): Promise<FileResult[]> {
  const results: FileResult[] = []
  let next = 0
  const work = async () => {
    for (let file = files[next++]; file !== undefined && !signal.aborted; file = files[next++]) {
      const result = await runTestFile(file, signal)
      print(result)
      results.push(result)
    }
  }
  await Promise.all(Array.from({ length: jobs }, work))
  return results
}

function print({ file, seconds, passed, failures, notices, output }: FileResult): void {
  const name = path.relative(top, file)
  console.log(`${failures.length > 0 ? 'FAILED' : 'ok    '} ${name}  ${passed} passed, ${seconds.toFixed(1)} s`)
  for (const line of notices) console.log(`       notice: ${line}`)
  if (failures.length === 0) return
  for (const { title, error } of failures) console.log(`\n  ${title}\n    ${error.replaceAll('\n', '\n    ')}`)
  if (output.trim() !== '') console.log(`\n  printed by the file:\n    ${output.trim().replaceAll('\n', '\n    ')}\n`)
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { jobs: { type: 'string', default: '2' }, tests: { type: 'string', default: import.meta.dirname } },
    })
    if (!/^[1-9]\d?$/.test(values.jobs)) throw new Error(`--jobs ${values.jobs}: wanted 1 to 99`)
    return { jobs: Number(values.jobs), directory: path.resolve(values.tests), parts: positionals }
  } catch (cause) {
    console.error(`test/run.ts: ${cause instanceof Error ? cause.message : cause}`)
    process.exit(2)
  }
}

const { jobs, directory, parts } = readArguments()
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort())

const results = await runAll(testFiles(directory, parts), jobs, stop.signal)
const slowest = results.toSorted((a, b) => b.seconds - a.seconds).slice(0, 5)
if (results.length > 1) {
  console.log('\nslowest files')
  for (const { file, seconds } of slowest)
    console.log(`  ${seconds.toFixed(1).padStart(6)} s  ${path.relative(top, file)}`)
}
const passed = results.reduce((sum, result) => sum + result.passed, 0)
const failures = results.flatMap(result => result.failures.map(failure => ({ file: result.file, ...failure })))
if (failures.length > 0) console.log('\nfailed')
for (const { file, title } of failures) console.log(`  ${path.relative(top, file)}  ${title}`)
if (results.length === 0) console.log(`no test file matches ${parts.join(' ')}`)
if (stop.signal.aborted) console.log('\ninterrupted')
console.log(`\n${passed} passed, ${failures.length} failed`)
process.exitCode = stop.signal.aborted ? 130 : failures.length > 0 || passed === 0 ? 1 : 0

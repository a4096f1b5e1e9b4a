// timeout: 120s
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DEFAULT_LIMITS, limitsOf } from '../harness/limits.ts'

const top = path.join(import.meta.dirname, '../..')

function run(...args: string[]) {
  const { status, stdout } = spawnSync(process.execPath, ['test/run.ts', ...args], { cwd: top, encoding: 'utf8' })
  return { status, stdout, last: stdout.trimEnd().split('\n').at(-1) }
}
const runFixture = (name: string) => run('--tests', 'test/harness/fixtures', `fixtures/${name}.test.ts`)

/** Fixture, what it comes to, and what the report must say. */
const cases: ReadonlyArray<readonly [string, string, RegExp]> = [
  ['passes', '2 passed, 0 failed', /^ok {5}/],
  ['assertion', '1 passed, 1 failed', /numbers: one is two[\s\S]*assertion\.test\.ts/],
  ['hook-before', '0 passed, 3 failed', /hooked: before\n {4}Error: the hook is broken/],
  ['hook-after', '2 passed, 1 failed', /hooked: after\n {4}Error: the hook is broken/],
  ['hook-before-each', '0 passed, 4 failed', /hooked: before each\n {4}Error: the hook is broken/],
  ['hook-after-each', '1 passed, 3 failed', /hooked: after each\n {4}Error: the hook is broken/],
  ['throws-null', '1 passed, 1 failed', /threw something that is not an Error: null/],
  ['no-tests', '0 passed, 1 failed', /has no tests/],
  ['no-run', '0 passed, 1 failed', /\.run\(\) is missing/],
  ['exits-inside', '1 passed, 2 failed', /early: exits with 0\n {4}did not run to its end: process exited with 0/],
  ['exits-while-loading', '0 passed, 1 failed', /ended its process before all its suites/],
  ['exits-after', '1 passed, 1 failed', /ended its process before all its suites/],
  ['rejection', '1 passed, 1 failed', /a rejection nobody handled\n {4}Error: nobody waits for this/],
  ['uncaught', '1 passed, 1 failed', /an error nobody caught\n {4}Error: nobody catches this/],
  ['slow-test', '1 passed, 1 failed', /the test took longer than 1 s/],
  ['blocked', '1 passed, 1 failed', /blocks its process\n {4}did not run to its end: the file's time-out of 2 s/],
  ['bad-timeout', '0 passed, 1 failed', /wanted "\/\/ timeout: 90s"/],
  ['broken-import', '0 passed, 1 failed', /not-there\.ts/],
  ['only', '1 passed, 1 failed', /some: left out/],
  ['skip', '1 passed, 1 failed', /some: switched off/],
  ['absent', '1 passed, 0 failed', /notice: no flux capacitor[\s\S]*notice: just so you know/],
  ['absent-file', '0 passed, 0 failed', /notice: no flux capacitor/],
  ['leftover', '1 passed, 1 failed', /left 1 processes behind/],
  ['lingers', '1 passed, 1 failed', /still alive 5 s after its last test/],
  ['kills-itself', '0 passed, 1 failed', /process ended by SIGKILL/],
]

const harness = suite('harness')

for (const [name, tally, says] of cases) {
  harness(`${name}: ${tally}`, () => {
    const { status, stdout, last } = runFixture(name)
    assert.is(last, tally, stdout)
    assert.match(stdout, says)
    assert.is(status, /^[1-9]\d* passed, 0 failed$/.test(tally) ? 0 : 1)
  })
}

harness('every fixture has its row', () => {
  const fixtures = fs.readdirSync(path.join(top, 'test/harness/fixtures')).map(name => name.replace('.test.ts', ''))
  assert.equal(fixtures.sort(), cases.map(([name]) => name).sort())
})

harness('a file that fails does not hide the ones that pass, and the slowest are named', () => {
  const { status, stdout, last } = run('--tests', 'test/harness/fixtures', 'passes', 'assertion', '--jobs', '1')
  assert.is(last, '3 passed, 1 failed')
  assert.is(status, 1)
  assert.match(stdout, /slowest files/)
})

harness('a filter that matches nothing fails', () => {
  const { status, last } = run('no-such-file')
  assert.is(last, '0 passed, 0 failed')
  assert.is(status, 1)
})

harness('fixtures are not part of the main run', () => {
  assert.is(run('test/harness/fixtures').last, '0 passed, 0 failed')
})

harness('an interrupted run ends at once with 130, and so does the file that was running', async () => {
  const args = ['test/run.ts', '--tests', 'test/harness/fixtures', 'lingers']
  const child = spawn(process.execPath, args, { cwd: top, stdio: ['ignore', 'pipe', 'ignore'] })
  const closed = new Promise(resolve => child.once('close', resolve))
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    stdout += text
  })
  await new Promise(resolve => setTimeout(resolve, 1500)) // its one test has passed; 5 s of lingering lie ahead
  const asked = performance.now()
  child.kill('SIGTERM')
  assert.is(await closed, 130, stdout)
  assert.ok(performance.now() - asked < 3000, 'it waited for the file')
  assert.match(stdout, /interrupted/)
})

for (const args of [['--jobs', '0'], ['--jobs', 'two'], ['--unknown']]) {
  harness(`${args.join(' ')} is refused`, () => assert.is(run(...args).status, 2))
}

const limits = suite('limits')
const asked: ReadonlyArray<readonly [string, number, number]> = [
  ['', DEFAULT_LIMITS.fileSeconds, DEFAULT_LIMITS.testSeconds],
  ["import 'uvu'\n// timeout: 9s\n", DEFAULT_LIMITS.fileSeconds, DEFAULT_LIMITS.testSeconds],
  ['// timeout: 90s', 90, 60],
  ['// timeout: 90s\n', 90, 60],
  ['// timeout: 59s\n', 59, 59],
  ['// timeout: 300s, test 200s\n', 300, 200],
]
for (const [source, fileSeconds, testSeconds] of asked) {
  limits(`${JSON.stringify(source)} asks for ${fileSeconds} s and ${testSeconds} s a test`, () => {
    assert.equal(limitsOf(source), { fileSeconds, testSeconds })
  })
}
for (const line of ['// timeout: 90', '// timeout 90s', '// timeout: 90s test 3s', '// timeout: -1s']) {
  limits(`"${line}" is refused`, () => assert.throws(() => limitsOf(line), /wanted/))
}

harness.run()
limits.run()

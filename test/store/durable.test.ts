import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { makeDirectoryDurable, writeFileDurable, writeStreamDurable } from '../../store/durable.ts'
import { lockDirectory } from '../../store/lock.ts'
import { StoreError } from '../../store/object-store.ts'

const root = mkdtempSync(join(tmpdir(), 'sealift-durable-'))
const test = suite('durable')

test('a file is replaced whole, with its mode, and nothing else stays', async () => {
  const directory = mkdtempSync(join(root, 'w-'))
  const path = join(directory, 'state')
  for (const text of ['one', 'a longer two', '']) {
    await writeFileDurable(path, Buffer.from(text), 0o600)
    assert.is(readFileSync(path, 'utf8'), text)
  }
  assert.is(statSync(path).mode & 0o777, 0o600)
  assert.equal(readdirSync(directory), ['state'])
})

test('a write that cannot be finished leaves the old file and no temporary', async () => {
  const directory = mkdtempSync(join(root, 'x-'))
  await makeDirectoryDurable(join(directory, 'taken', 'inner'), 0o700)
  await writeFileDurable(join(directory, 'taken'), Buffer.from('x'), 0o600).then(
    () => assert.unreachable(),
    () => undefined,
  )
  assert.equal(readdirSync(directory), ['taken'])
})

test('a stream that throws leaves no file, and never harms one that was there', async () => {
  const path = join(mkdtempSync(join(root, 's-')), 'body')
  async function* failing() {
    yield Buffer.from('x')
    throw new Error('gone')
  }
  await writeStreamDurable(path, failing(), 0o600).then(
    () => assert.unreachable(),
    () => undefined,
  )
  assert.equal(readdirSync(join(path, '..')), [])
  async function* good() {
    yield Buffer.from('one')
    yield Buffer.from('two')
  }
  assert.is(await writeStreamDurable(path, good(), 0o600), 6)
  await writeStreamDurable(path, failing(), 0o600).then(
    () => assert.unreachable(),
    () => undefined,
  )
  assert.is(readFileSync(path, 'utf8'), 'onetwo')
})

test('missing parents are made, an existing directory is left alone', async () => {
  const path = join(root, 'p', 'q', 'r')
  await makeDirectoryDurable(path, 0o700)
  await makeDirectoryDurable(path, 0o755)
  assert.is(statSync(path).mode & 0o777, 0o700)
})

test('a lock is exclusive, names its holder, and is free after close', () => {
  const directory = mkdtempSync(join(root, 'l-'))
  const lock = lockDirectory(directory)
  assert.throws(
    () => lockDirectory(directory),
    (error: unknown) => error instanceof StoreError && error.fault === 'busy',
  )
  lock.close()
  lock.close()
  lockDirectory(directory).close()
})

test('a lock of another process is seen, and goes with it when it is killed', async () => {
  const directory = mkdtempSync(join(root, 'k-'))
  const script = `
    import { lockDirectory } from ${JSON.stringify(new URL('../../store/lock.ts', import.meta.url).href)}
    lockDirectory(${JSON.stringify(directory)})
    console.log('held')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await once(child.stdout, 'data')
    assert.throws(() => lockDirectory(directory), new RegExp(`process ${child.pid}`))
  } finally {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  lockDirectory(directory).close()
})

test.after(() => rmSync(root, { recursive: true, force: true }))
test.run()

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Administration } from '../../../format/administration.ts'
import type { JobId } from '../../../format/bytes.ts'
import type { CallClient } from '../../../format/call-client.ts'
import { openGrantFile, parseGrantFile, peekGrant } from '../../../format/grant.ts'
import { readUnlockCode } from '../../../format/unlock-code.ts'
import { prepareDeviceToken } from '../../../hsm/device-token.ts'
import { connectAdministration } from '../../../provision/admin-client.ts'
import { openRelease } from '../../../provision/release-client.ts'
import { openProvider, type Provider } from '../../../provision/serve.ts'
import { openDrive, readGrantFile } from '../../../store/pack/drive.ts'
import {
  faultOf,
  jobRequest,
  member,
  proofOf,
  type Sealed,
  type TestDevice,
  takeIn,
  testDevice,
} from './authority-fixture.ts'

const MAIN = fileURLToPath(new URL('../../../provision/main.ts', import.meta.url))
const ENTRY = fileURLToPath(new URL('../../../provision/keystore/main.ts', import.meta.url))

const test = suite('keystore process')
const top = mkdtempSync(join(tmpdir(), 'sealift-kp-'))
const state = join(top, 'p')
const program = { entry: ENTRY, config: join(state, 'keystore.json') }
let provider: Provider
let release: ReturnType<typeof openRelease>
let owner: Awaited<ReturnType<typeof member>>
let device: TestDevice
let object: Sealed
let opened = 0
let closed = 0

test.before(async () => {
  const made = await run(['init', '--name', 'Test provider', '--json'])
  assert.is(made.code, 0, made.errors)
  provider = await openProvider(program, [
    {
      async open() {
        opened++
        return {
          addresses: [{ name: 'counting', address: 'nowhere' }],
          async close() {
            closed++
          },
        }
      },
    },
  ])
  release = openRelease(provider.keystore.release)
})
test.after(async () => {
  release.close()
  await provider.close()
  assert.is(closed, 1)
  rmSync(top, { recursive: true })
})

async function run(given: string[]): Promise<{ code: number; out: string; errors: string }> {
  const child = spawn(process.execPath, [MAIN, '--state', state, ...given], {
    env: {},
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const text = async (stream: AsyncIterable<Buffer>) => {
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk)
    return Buffer.concat(chunks).toString()
  }
  const ended = once(child, 'close')
  const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  const [code] = await ended
  return { code: Number(code), out, errors }
}

async function administered<T>(work: (at: CallClient<Administration>) => Promise<T>): Promise<T> {
  const client = await connectAdministration(provider.keystore.administration)
  try {
    return await work(client)
  } finally {
    client.close()
  }
}

/** Asks until it is answered: a process is coming back meanwhile. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (tries === 60) throw error
      await delay(100)
    }
  }
}

const isAlive = (id: number) => {
  try {
    process.kill(id, 0)
    return true
  } catch {
    return false
  }
}
async function gone(id: number): Promise<boolean> {
  for (let tries = 0; tries < 50 && isAlive(id); tries++) await delay(100)
  return !isAlive(id)
}
const read = async () => {
  const proof = proofOf(owner, 'GET', object.stored.place)
  return (await release.release({ proof, object: object.stored, parts: [] })).keys
}

test('a second init changes nothing', async () => {
  assert.is((await run(['init'])).code, 73)
})

test('state files and sockets are for their owner alone, and no secret is an argument or in the environment', async () => {
  const pin = readFileSync(join(state, 'token.pin'), 'latin1')
  assert.is(pin.length, 32)
  for (const name of [
    'keystore.sqlite',
    'token.pin',
    'token-profile',
    'keystore.sock',
    'keystore-admin.sock',
    'keystore.json',
  ])
    assert.is(statSync(join(state, name)).mode & 0o077, 0, name)
  assert.is(statSync(state).mode & 0o777, 0o700)
  const { processId, tokenProcessId } = await administered(at => at.status())
  for (const id of [processId, tokenProcessId])
    for (const file of ['cmdline', 'environ'])
      assert.not.ok(readFileSync(`/proc/${id}/${file}`, 'latin1').includes(pin), `${id} ${file}`)
})

test('an object that a device sealed is taken in and read, each step with its token operations', async () => {
  const counted = async <T>(most: number, what: string, work: () => Promise<T>): Promise<T> => {
    const before = (await administered(at => at.status())).tokenOperations
    const answer = await work()
    const used = (await administered(at => at.status())).tokenOperations - before
    assert.is(used, most, what)
    return answer
  }
  await administered(async at => {
    owner = await counted(1, 'an account', () => member(at, 'owner'))
    const { job } = await counted(2, 'a job', () => at.createJob(jobRequest('owner')))
    device = await counted(2, 'a device', () => testDevice(at, job))
    await counted(1, 'a takeover', () => takeIn(release, at, device))
  })
  object = device.seal('photos', 'k', Buffer.from('content'))
  await counted(0, 'reads', async () => {
    for (let at = 0; at < 20; at++) assert.equal(await read(), [object.objectKey])
  })
  assert.is(await faultOf(release.release({ proof: null, object: object.stored, parts: [] })), 'denied')
  assert.is(opened, 1)
})

test('a refusal says no more than "denied"', async () => {
  const refused = await release.release({ proof: null, object: object.stored, parts: [] }).then(
    () => '',
    (error: Error) => error.message,
  )
  assert.is(refused, 'denied')
})

test('the command prepares a device that is attached here: token, drives, code', async () => {
  const ordered = await run([
    'job',
    'create',
    '--account',
    'owner',
    '--bucket',
    'photos',
    '--bucket',
    'films',
    '--json',
  ])
  const { job }: { job: JobId } = JSON.parse(ordered.out)
  const drives = ['v1', 'v2'].map(name => join(top, name))
  const codeFile = join(top, 'code')
  const made = await run([
    ...['device', 'prepare', '--job', job, '--device-state', join(top, 'd'), '--code-file', codeFile, '--json'],
    ...drives.flatMap(path => ['--drive', path]),
  ])
  assert.is(made.code, 0, made.errors)
  assert.is(statSync(codeFile).mode & 0o777, 0o600)
  const code = readFileSync(codeFile, 'utf8').trim()
  assert.not.ok(made.out.includes(code) || made.errors.includes(code))
  for (const [at, path] of drives.entries()) {
    const drive = await openDrive(path)
    assert.is(drive.volume.number, at + 1)
    assert.is(drive.volume.job, job)
    const file = parseGrantFile(await readGrantFile(drive))
    assert.is(openGrantFile(file, peekGrant(file.signed).id, readUnlockCode(code)).length, 32)
    assert.ok(readFileSync(join(path, 'SEALIFT.txt'), 'utf8').includes(job))
  }
  const again = await run([
    'device',
    'prepare',
    '--job',
    job,
    '--device-state',
    join(top, 'd'),
    '--drive',
    join(top, 'v1'),
  ])
  assert.is(again.code, 73, 'a drive that is not empty')
  const csr = join(top, 'device.csr')
  writeFileSync(csr, (await prepareDeviceToken({ directory: join(top, 'd') })).fill(0, 200, 210))
  const forged = await run(['device', 'prepare', '--job', job, '--csr', csr, '--drive', join(top, 'v3')])
  assert.is(forged.code, 65)
  assert.not.ok(readdirSync(top).includes('v3'))
  assert.is((await run(['device', 'prepare', '--job', job, '--drive', join(top, 'v3')])).code, 2)
})

test('exit codes: usage 2, not there 1, taken 73, in use 75', async () => {
  assert.is((await run(['job', 'show', 'x'])).code, 2)
  assert.is((await run(['nothing'])).code, 2)
  assert.is((await run(['--help'])).code, 0)
  assert.is((await run(['access-key', 'create', 'nobody'])).code, 1)
  assert.is((await run(['account', 'create', 'owner'])).code, 73)
})

test('a token process that is killed comes back: keys are there', async () => {
  const { tokenProcessId } = await administered(at => at.status())
  process.kill(tokenProcessId, 'SIGKILL')
  assert.ok(await gone(tokenProcessId))
  await patiently(() => administered(at => at.createAccount('after the token')))
  assert.equal(await read(), [object.objectKey])
})

test('a keystore that is killed comes back behind the same client, and takes its token process along', async () => {
  const { processId, tokenProcessId } = await administered(at => at.status())
  assert.is(processId, provider.keystore.processId)
  process.kill(processId, 'SIGKILL')
  assert.ok(await gone(processId))
  assert.equal(await patiently(read), [object.objectKey])
  assert.ok(await gone(tokenProcessId))
  const { entries } = await administered(at => at.verifyAudit())
  assert.ok(entries > 20)
})

test('serve says what it listens on, keeps others out, and its keystore ends with it however it ends', async () => {
  const elsewhere = join(top, 'q')
  const here = (given: string[]) => [MAIN, '--state', elsewhere, ...given]
  const init = spawn(process.execPath, here(['init']), { env: {}, stdio: 'ignore' })
  assert.equal(await once(init, 'exit'), [0, null])
  const serving = spawn(process.execPath, here(['serve']), { env: {}, stdio: ['ignore', 'pipe', 'ignore'] })
  const lines = createInterface({ input: serving.stdout })
  const [line] = await once(lines, 'line')
  const { keystore }: Provider = JSON.parse(String(line))
  assert.ok(isAlive(keystore.processId))
  const second = spawn(process.execPath, here(['serve']), { env: {}, stdio: 'ignore' })
  assert.equal(await once(second, 'exit'), [75, null])
  serving.kill('SIGKILL')
  await once(serving, 'exit')
  assert.ok(await gone(keystore.processId))
  lines.close()
})

test.run()

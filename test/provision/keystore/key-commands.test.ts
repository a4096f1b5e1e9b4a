import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Administration } from '../../../format/administration.ts'
import { type EpochId, newId } from '../../../format/bytes.ts'
import { connectAdministration } from '../../../provision/admin-client.ts'
import { accountCommands } from '../../../provision/commands/accounts.ts'
import { keyCommands, progressLine } from '../../../provision/commands/keys.ts'
import { userCommands } from '../../../provision/commands/users.ts'
import { exitCodeOf } from '../../../provision/operator.ts'
import { openRelease } from '../../../provision/release-client.ts'
import { openProvider } from '../../../provision/serve.ts'
import { verifyCommand } from '../../../verify/command.ts'
import { jobRequest, member, proofOf, takeIn, testDevice } from './authority-fixture.ts'

const MAIN = fileURLToPath(new URL('../../../provision/main.ts', import.meta.url))
const ENTRY = fileURLToPath(new URL('../../../provision/keystore/main.ts', import.meta.url))
const EPOCHS = 300

const test = suite('commands of master keys')
const top = mkdtempSync(join(tmpdir(), 'sealift-kc-'))
const state = join(top, 'p')
test.after(() => rmSync(top, { recursive: true }))

function run(...given: string[]): Promise<{ code: number; out: string; errors: string }> {
  return new Promise(resolve => {
    execFile(process.execPath, [MAIN, '--state', state, ...given], { env: {} }, (error, out, errors) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, errors }),
    )
  })
}

/** The same words in this process, which need not start for each. */
async function say(...words: string[]): Promise<{ code: number; out: string; errors: string }> {
  const [out, errors]: [string[], string[]] = [[], []]
  const write = (text: string): void => void out.push(text)
  const program = new Command('sealift-provider')
    .option('--state <dir>')
    .option('--json')
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: text => void errors.push(text) })
  const operator = { state, keystoreEntry: ENTRY, write }
  for (const add of [accountCommands, userCommands, keyCommands]) add(program, operator)
  const code = await program.parseAsync(words, { from: 'user' }).then(
    () => 0,
    error => {
      errors.push(String(error))
      return error instanceof CommanderError ? 2 : exitCodeOf(error)
    },
  )
  return { code, out: out.join(''), errors: errors.join('') }
}

/** Asks until it is answered: a process is coming back meanwhile. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (tries === 600) throw error
      await delay(100)
    }
  }
}

test('a keystore that is killed again and again while it rotates ends the rotation, and every key opens', async () => {
  assert.is((await run('init', '--name', 'Test provider')).code, 0)
  const provider = await openProvider({ entry: ENTRY, config: join(state, 'keystore.json') }, [])
  const release = openRelease(provider.keystore.release)
  const administered = async <T>(work: (at: Administration) => Promise<T>): Promise<T> => {
    const client = await connectAdministration(provider.keystore.administration)
    try {
      return await work(client)
    } finally {
      client.close()
    }
  }
  try {
    const { owner, device, station } = await administered(async at => {
      const owner = await member(at, 'acme')
      const { job } = await at.createJob(jobRequest('acme'))
      const device = await testDevice(at, job)
      return { owner, device, station: await takeIn(release, at, device) }
    })
    for (let at = 1; at < EPOCHS; at++)
      await release.reseal(station, await device.record({ epoch: newId<EpochId>(), key: randomBytes(32) }))
    const { stored, objectKey } = device.seal('photos', 'k', Buffer.from('content'))
    const read = () => release.release({ proof: proofOf(owner, 'GET', stored.place), object: stored, parts: [] })
    await administered(at => at.rotateKey('acme', 'anna'))
    let kills = 0
    for (; kills < 5; kills++) {
      // the first at once, so that it finds it at work however busy this machine is
      await delay(kills * 40)
      const before = await patiently(() => administered(at => at.keyWork('acme')))
      if (before.state === 'none') break
      const { processId } = await administered(at => at.status())
      process.kill(processId, 'SIGKILL')
      assert.equal((await patiently(read)).keys, [objectKey], 'reads go on')
    }
    assert.ok(kills > 0, `${kills} kills found it at work`)
    for (;;) {
      const { state: now, message } = await patiently(() => administered(at => at.keyWork('acme')))
      assert.is.not(now, 'stopped', message)
      if (now === 'none') break
      await delay(100)
    }
    assert.equal((await read()).keys, [objectKey])
    await administered(at => at.verifyAudit())
  } finally {
    release.close()
    await provider.close()
  }
})

test('rotate and destroy leave signed records that are verified offline, and refuse before they destroy', async () => {
  const provider = await openProvider({ entry: ENTRY, config: join(state, 'keystore.json') }, [])
  const [rotated, shredded, ca] = ['rotated.sld', 'shredded.sld', 'ca.der'].map(name => join(top, name))
  const again = await run('key', 'rotate', '--account', 'acme', '--output', rotated ?? '', '--json')
  assert.is(again.code, 0, again.errors)
  assert.is(JSON.parse(again.out).version, 3)
  const cases: [string, number, string[]][] = [
    ['no word for it', 2, ['key', 'destroy', '--account', 'acme']],
    ['no key', 2, ['key', 'destroy', '--yes']],
    ['two keys', 2, ['key', 'destroy', 'acme/film', '--account', 'acme', '--yes']],
    ['a key and a job', 2, ['key', 'destroy', '--account', 'acme', '--job', '0'.repeat(32), '--yes', 'acme/film']],
    ['an account that is none', 2, ['key', 'destroy', '--account', 'acme/film', '--yes']],
    ['a record that is there', 73, ['key', 'destroy', '--account', 'acme', '--yes', '--output', rotated ?? '']],
    ['nobody', 1, ['key', 'rotate', '--account', 'nobody']],
  ]
  for (const [why, code, words] of cases) assert.is((await say(...words)).code, code, why)
  assert.match((await say('key', 'list', 'acme')).out, /the account's own\) {2}version 3\n/)
  const gone = await run('key', 'destroy', '--account', 'acme', '--yes', '--output', shredded ?? '')
  assert.is(gone.code, 0, gone.errors)
  assert.match((await say('key', 'list', 'acme')).out, /version 3 {2}\(destroyed\)/)
  const administration = await connectAdministration(provider.keystore.administration)
  writeFileSync(ca ?? '', await administration.caCertificate())
  administration.close()
  for (const file of [rotated, shredded]) {
    let said = ''
    const take = (text: string): void => {
      said += text
    }
    const words = ['destruction', file ?? '', '--ca', ca ?? '']
    assert.is(await verifyCommand(words, { out: take, error: take, errorIsTerminal: false }), 0, said)
    assert.match(said, new RegExp(file === rotated ? `sealed anew +${EPOCHS}` : `never open again +${EPOCHS}`))
  }
  const first = join(top, 'first.sld')
  assert.is((await say('key', 'record', '--account', 'acme', '--key-version', '1', '--output', first)).code, 0)
  assert.ok(existsSync(first))
  await provider.close()
})

test('named keys are made, given, taken back and switched off, each by a command', async () => {
  const provider = await openProvider({ entry: ENTRY, config: join(state, 'keystore.json') }, [])
  const cases: [number, string, RegExp][] = [
    [0, 'account create studio', /studio/],
    [0, 'user create studio anna', /anna/],
    [0, 'key create studio/film', /^key studio\/film \([0-9a-f]{16}\)/],
    [73, 'key create studio/film', /has or had a key/],
    [2, 'key create studio', /want account\/name/],
    [2, 'key create studio/film/cut', /want account\/name/],
    [1, 'key create nobody/film', /no account/],
    [0, 'key grant studio/film user studio/anna studio', /studio\/anna, studio may use key/],
    [2, 'key grant studio/film role studio/anna', /user or group/],
    [1, 'key grant studio/film group studio/anna', /no group/],
    [65, 'key grant studio user studio/anna', /own key/],
    [0, 'key list studio', /film {2}version 1 {2}2 may use it/],
    [0, 'key revoke studio/film user studio', /may not use/],
    [1, 'key revoke studio/film user studio', /not among/],
    [0, 'key disable studio/film', /switched off/],
    [0, 'key list studio', /1 may use it {2}\(disabled\)/],
    [0, 'key enable studio/film', /switched on/],
    [65, 'key disable studio', /own key/],
    [0, 'key destroy studio/film --yes', /never be opened again/],
    [1, 'key enable studio/film', /destroyed/],
  ]
  for (const [code, line, said] of cases) {
    const done = await say(...line.split(' '))
    assert.is(done.code, code, `${line}: ${done.errors}`)
    assert.match(done.out + done.errors, said, line)
  }
  await provider.close()
})

test('progress says how many, how fast and how long, and what it waits for', () => {
  const work = { state: 'under-way', version: 2, done: 300, total: 1000, message: '' } as const
  assert.is(progressLine(work, 200, 10), '300 of 1000 epochs, 20 a second, 35 s left')
  assert.is(progressLine({ ...work, done: 0 }, 0, 0), '0 of 1000 epochs, 0 a second, no rate yet')
  assert.match(progressLine({ ...work, message: 'the token is away' }, 1, 1), /; the token is away$/)
})

test.run()

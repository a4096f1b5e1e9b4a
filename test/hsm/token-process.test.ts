import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { initialiseToken, openPkcs11Token, TOKEN_TIMEOUTS } from '../../hsm/pkcs11-token.ts'
import { newSoftHsmPin } from '../../hsm/softhsm.ts'
import { type SoftHsmFixture, softHsmToken } from './softhsm-fixture.ts'
import { faultOf } from './token-contract.ts'

const test = suite('token process')
let fixture: SoftHsmFixture

test.before(async () => {
  fixture = await softHsmToken('process', { callTimeoutMs: 700, generateTimeoutMs: 5_000 })
  await fixture.token.makeSigningKey('identity')
})
test.after(async () => {
  await fixture.remove()
})

const runningProcess = () => {
  const id = fixture.token.processId
  if (id === null) throw new Error('no token process')
  return id
}

test('the PIN is in neither the arguments nor the environment of the token process, nor is the parent environment', () => {
  process.env.SEALIFT_TEST_PARENT_ONLY = 'parent-only'
  const seen = ['cmdline', 'environ']
    .map(name => readFileSync(`/proc/${runningProcess()}/${name}`, 'latin1'))
    .join('\0')
  assert.ok(seen.includes('main.ts'), 'read the right process')
  assert.ok(seen.includes('SOFTHSM2_CONF='))
  assert.not.ok(seen.includes(fixture.config.pin.toString()))
  assert.not.ok(seen.includes('parent-only') || seen.includes('PATH='))
  assert.is(process.env.SOFTHSM2_CONF, undefined)
})

test('a token process that is killed comes back by itself, with its keys and its count', async () => {
  const before = fixture.token.operations
  const killed = runningProcess()
  process.kill(killed, 'SIGKILL')
  for (let n = 0; n < 100 && (fixture.token.processId ?? killed) === killed; n++) await delay(20)
  assert.not.equal(runningProcess(), killed)
  await fixture.token.sign('identity', Buffer.alloc(1))
  assert.is(fixture.token.operations, before + 1)
})

test('a repeatable call in flight when the process is killed is answered by the next process', async () => {
  const killed = runningProcess()
  process.kill(killed, 'SIGSTOP') // holds the call in flight
  const signature = fixture.token.sign('identity', Buffer.alloc(1))
  await delay(50)
  process.kill(killed, 'SIGKILL')
  assert.is((await signature).length, 64)
  assert.not.equal(runningProcess(), killed)
})

test('a call that may not run twice fails as restarting when the process is killed, and the next call works', async () => {
  process.kill(runningProcess(), 'SIGSTOP')
  const made = faultOf(fixture.token.makeSigningKey('never made'))
  await delay(50)
  process.kill(runningProcess(), 'SIGKILL')
  assert.is(await made, 'restarting')
  assert.is(await fixture.token.publicKey('never made'), null)
})

test('a token process that hangs is killed after the time-out and replaced', async () => {
  const hung = runningProcess()
  process.kill(hung, 'SIGSTOP')
  const from = Date.now()
  const signature = await fixture.token.sign('identity', Buffer.alloc(1)) // asked again of the next process
  const took = Date.now() - from
  assert.is(signature.length, 64)
  assert.ok(took >= 650 && took < 5_000, `${took} ms`)
  assert.not.equal(runningProcess(), hung)
  assert.throws(() => process.kill(hung, 0), 'the hung process is gone')
})

test('many calls at once are answered each with its own', async () => {
  const lengths = Array.from({ length: 40 }, (_, n) => n + 1)
  const answers = await Promise.all(lengths.map(length => fixture.token.random(length)))
  assert.equal(
    answers.map(each => each.length),
    lengths,
  )
})

test('a wrong PIN is locked, at once and without a second try', async () => {
  assert.is(await faultOf(openPkcs11Token({ ...fixture.config, pin: newSoftHsmPin() })), 'locked')
})

test('the error about a wrong PIN does not repeat it', async () => {
  const pin = newSoftHsmPin()
  try {
    await openPkcs11Token({ ...fixture.config, pin })
    assert.unreachable()
  } catch (error) {
    assert.ok(error instanceof Error)
    assert.not.ok(`${error.message}${error.stack}${JSON.stringify(error)}`.includes(pin.toString()))
  }
})

test('a changed PIN opens the token, also after a restart; the old one does not', async () => {
  const other = await softHsmToken('pin')
  const newPin = newSoftHsmPin()
  await other.token.changePin(newPin)
  await other.token.makeSigningKey('identity')
  const killed = other.token.processId
  if (killed === null) throw new Error('no token process')
  process.kill(killed, 'SIGKILL')
  await other.token.sign('identity', Buffer.alloc(1))
  await other.token.close()
  assert.is(await faultOf(openPkcs11Token(other.config)), 'locked')
  const again = await openPkcs11Token({ ...other.config, pin: newPin, profile: other.token.profile })
  assert.ok(await again.publicKey('identity'))
  assert.is(again.operations, 0, 'a known profile needs no self-tests')
  await again.close()
  await other.remove()
})

test('no module, no such token, no PIN, an ambiguous or foreign profile are named before anything is used', async () => {
  const { config, token } = fixture
  const open = (change: object) => faultOf(openPkcs11Token({ ...config, ...change }))
  assert.is(await open({ uri: { ...config.uri, modulePath: '/nonexistent.so' } }), 'absent')
  assert.is(await open({ uri: { ...config.uri, modulePath: '/etc/passwd' } }), 'absent')
  assert.is(await open({ uri: { ...config.uri, token: 'other' } }), 'absent')
  assert.is(await open({ uri: { token: 'process' } }), 'configuration')
  assert.is(await open({ pin: Buffer.from('a\nb\nc') }), 'configuration')
  assert.is(await open({ profile: { ...token.profile, serial: 'other' } }), 'configuration')
  assert.is(await open({ profile: { ...token.profile, moduleDigest: Buffer.alloc(32) } }), 'configuration')
})

test('initialising never overwrites: a label that is taken exists, and another token gets a slot of its own', async () => {
  const { config } = fixture
  const make = (label: string) =>
    initialiseToken(
      { environment: config.environment, ...TOKEN_TIMEOUTS, modulePath: config.uri.modulePath ?? '', label },
      { securityOfficer: newSoftHsmPin(), user: newSoftHsmPin() },
    )
  assert.is(await faultOf(make('process')), 'exists')
  assert.is(await faultOf(make('x'.repeat(33))), 'configuration')
  const made = await make('Zweiter Schlüsselträger')
  assert.is(made.label, 'Zweiter Schlüsselträger')
  assert.not.equal(made.serial, fixture.token.profile.serial)
  await fixture.token.sign('identity', Buffer.alloc(1))
})

test('closing ends the process', async () => {
  const other = await softHsmToken('closing')
  const id = other.token.processId
  assert.ok(id)
  await other.remove()
  assert.throws(() => process.kill(id ?? 0, 0))
})

test.run()

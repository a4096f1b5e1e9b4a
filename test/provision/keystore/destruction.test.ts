import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { TokenError } from '../../../hsm/token.ts'
import { faultOf } from './authority-fixture.ts'
import { ended, sceneOf, tamper, verified } from './key-scene.ts'

const test = suite('destruction of master keys')

test('a destroyed account key gives no key from its answer on, though epochs were open in memory, and the audit names it', async () => {
  const scene = await sceneOf(4)
  const { fixture, owner } = scene
  const { administration } = fixture.authority
  assert.is(await scene.read(), 'the key')
  const file = await administration.destroyKey('acme', 'anna')
  assert.is(await scene.read(), 'denied')
  assert.is(await fixture.token.publicKey(`sealift-account-${owner.id}`), null)
  const { cause, epochs, version } = await verified(scene, file)
  assert.equal({ cause, epochs, version }, { cause: 'shredded', epochs: 4, version: 1 })
  const database = new Database(join(fixture.directory, 'keystore.sqlite'), { readonly: true })
  const told = Buffer.concat(database.prepare<[], Buffer>('SELECT body FROM audit').pluck().all()).toString('latin1')
  database.close()
  assert.ok(told.includes('the master key was destroyed'))
  await fixture.reopen()
  assert.is(await scene.read(), 'denied')
  assert.equal(await fixture.authority.administration.keyDestruction('acme', null), file)
  await fixture.remove()
})

test('a key can be destroyed in the middle of its rotation: both pairs go, each with its record', async () => {
  const scene = await sceneOf(10)
  const { fixture, owner } = scene
  const { administration } = fixture.authority
  const mend = tamper(fixture.token, operation => (operation === 'open' ? delay(20) : undefined))
  await administration.rotateKey('acme', 'anna')
  await delay(50)
  await administration.destroyKey('acme', 'bert')
  mend()
  for (const label of [`sealift-account-${owner.id}`, `sealift-account-${owner.id}-2`])
    assert.is(await fixture.token.publicKey(label), null, label)
  for (const version of [1, 2])
    assert.is((await verified(scene, await administration.keyDestruction('acme', version))).cause, 'shredded')
  assert.is((await administration.keyWork('acme')).state, 'none')
  await fixture.remove()
})

test('a destruction that is cut off refuses from its first step on, and is carried out at the next start', async () => {
  for (const at of [0, 1]) {
    const scene = await sceneOf(2)
    const { fixture, owner } = scene
    assert.is(await scene.read(), 'the key')
    const mend = tamper(fixture.token, (_, now) => {
      if (now === at) throw new TokenError('absent', 'gone')
    })
    assert.is(await faultOf(fixture.authority.administration.destroyKey('acme', 'anna')), 'unavailable')
    assert.is(await scene.read(), 'denied')
    mend()
    await fixture.reopen()
    await ended(fixture, 'acme')
    assert.is(await fixture.token.publicKey(`sealift-account-${owner.id}`), null)
    const file = await fixture.authority.administration.keyDestruction('acme', null)
    assert.is((await verified(scene, file)).cause, 'shredded')
    assert.is(await scene.read(), 'denied')
    await fixture.remove()
  }
})

test('what cannot be: each is refused by its fault, and changes nothing', async () => {
  const scene = await sceneOf(1)
  const { fixture } = scene
  const { administration } = fixture.authority
  const cases: [string, () => Promise<unknown>, string][] = [
    ['no such account', () => administration.rotateKey('nobody', 'anna'), 'not-found'],
    ['no such key', () => administration.rotateKey('acme/none', 'anna'), 'not-found'],
    ['no name behind the account', () => administration.destroyKey('acme/', 'anna'), 'not-found'],
    ['an empty reference', () => administration.destroyKey('', 'anna'), 'not-found'],
    ['a record of what stands', () => administration.keyDestruction('acme', null), 'not-found'],
  ]
  for (const [why, work, fault] of cases) assert.is(await faultOf(work()), fault, why)
  assert.is(await scene.read(), 'the key')
  await administration.destroyKey('acme', 'anna')
  assert.is(await faultOf(administration.destroyKey('acme', 'anna')), 'state', 'destroyed twice')
  assert.is(await faultOf(administration.rotateKey('acme', 'anna')), 'state', 'rotated after its end')
  await fixture.remove()
})

test.run()

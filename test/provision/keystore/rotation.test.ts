import { hash } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { TokenError } from '../../../hsm/token.ts'
import { jobRequest, proofOf, stationFor, takeIn, testDevice } from './authority-fixture.ts'
import { ended, rowsOf, sceneOf, tamper, verified } from './key-scene.ts'

const test = suite('rotation of master keys')

test('a rotation seals every epoch to a new pair and destroys the old one; objects stay as they are and are read', async () => {
  const scene = await sceneOf(150)
  const { fixture, owner } = scene
  const { administration } = fixture.authority
  const old = (await fixture.token.publicKey(`sealift-account-${owner.id}`))?.spki ?? Buffer.alloc(0)
  assert.is(await scene.read(), 'the key')
  const begun = await administration.rotateKey('acme', 'anna')
  assert.is(begun.total, 150)
  assert.is((await ended(fixture, 'acme')).state, 'none')
  assert.equal(rowsOf(fixture), [{ version: 2, epochs: 150 }])
  assert.is(await fixture.token.publicKey(`sealift-account-${owner.id}`), null)
  assert.is.not(await fixture.token.publicKey(`sealift-account-${owner.id}-2`), null)
  await fixture.reopen()
  assert.is(await scene.read(), 'the key')
  const record = await verified(scene, await fixture.authority.administration.keyDestruction('acme', 1))
  const { cause, accountName, keyName, version, epochs, by, keyDigest } = record
  const said = { cause, accountName, keyName, version, epochs, by, keyDigest: keyDigest.toString('hex') }
  assert.equal(said, {
    ...{ cause: 'rotated', accountName: 'acme', keyName: '', version: 1, epochs: 150, by: 'anna' },
    keyDigest: hash('sha256', old, 'hex'),
  })
  await fixture.authority.administration.verifyAudit()
  await fixture.remove()
})

test('a rotation that is cut off at any operation of the token goes on at the next start, and nothing is lost', async () => {
  const scene = await sceneOf(5)
  const { fixture } = scene
  const { token } = fixture
  let version = 1
  let cuts = 0
  for (let at = 0; ; at++) {
    // the whole process goes: what it had begun is not heard of again
    const mend = tamper(token, (_, now) => {
      if (now === at) throw new Error('cut')
    })
    await fixture.authority.administration.rotateKey('acme', 'anna')
    version++
    const { state } = await ended(fixture, 'acme')
    mend()
    if (state === 'none') break
    cuts++
    assert.is(await scene.read(), 'the key', `operation ${at}, before the next start`)
    await fixture.reopen()
    assert.is((await ended(fixture, 'acme')).state, 'none', `operation ${at}`)
    assert.equal(rowsOf(fixture), [{ version, epochs: 5 }])
    await fixture.reopen()
    assert.is(await scene.read(), 'the key', `operation ${at}`)
  }
  // five opened, one destroyed, one signed
  assert.is(cuts, 7)
  await fixture.remove()
})

test('an epoch that does not open stops a rotation by name, and the old pair stays', async () => {
  const scene = await sceneOf(3)
  const { fixture, owner } = scene
  const database = new Database(join(fixture.directory, 'keystore.sqlite'))
  const other = database.prepare<[string], string>('SELECT id FROM epochs WHERE id <> ?').pluck()
  const broken = other.get(scene.device.epoch) ?? ''
  database.prepare('UPDATE epochs SET ciphertext = zeroblob(48) WHERE id = ?').run(broken)
  database.close()
  await fixture.reopen()
  await fixture.authority.administration.rotateKey('acme', 'anna')
  const stopped = await ended(fixture, 'acme')
  assert.is(stopped.state, 'stopped')
  assert.is.not(stopped.message, '')
  assert.is.not(await fixture.token.publicKey(`sealift-account-${owner.id}`), null)
  assert.is(await scene.read(), 'the key')
  await fixture.remove()
})

test('a token that is away makes a rotation wait, not fail', async () => {
  const scene = await sceneOf(3)
  const { fixture } = scene
  const mend = tamper(fixture.token, (_, at) => {
    if (at < 2) throw new TokenError('restarting', 'coming back')
  })
  await fixture.authority.administration.rotateKey('acme', 'anna')
  await delay(50)
  const { state, message } = await fixture.authority.administration.keyWork('acme')
  assert.is(state, 'under-way')
  assert.match(message, /away/)
  assert.is((await ended(fixture, 'acme')).state, 'none')
  mend()
  assert.is(await scene.read(), 'the key')
  await fixture.remove()
})

test('reads and new epochs go on while a slow token rotates, and what is begun meanwhile is under the new pair', async () => {
  const scene = await sceneOf(20)
  const { fixture } = scene
  let busy = 0
  let most = 0
  const mend = tamper(fixture.token, async operation => {
    if (operation !== 'open') return
    most = Math.max(most, ++busy)
    await delay(10)
    busy--
  })
  const { administration, release } = fixture.authority
  const { job } = await administration.createJob(jobRequest('acme'))
  const second = await testDevice(administration, job)
  await administration.rotateKey('acme', 'anna')
  // the epoch of the object is not in memory any more: each read asks the token, beside the rotation
  for (let at = 0; at < 5; at++) {
    fixture.clock.now += 601_000
    assert.is(await scene.read(), 'the key')
  }
  await takeIn(release, administration, second)
  assert.is((await administration.keyWork('acme')).state, 'under-way')
  assert.is((await ended(fixture, 'acme')).state, 'none')
  mend()
  assert.equal(rowsOf(fixture), [{ version: 2, epochs: 21 }])
  assert.ok(most <= 2, `the rotation asks the token for one thing at a time; ${most} were under way`)
  await fixture.remove()
})

test('an epoch that was opened before a rotation and is taken over after it is under the new pair', async () => {
  const scene = await sceneOf(1)
  const { fixture } = scene
  const { administration, release } = fixture.authority
  const { job } = await administration.createJob(jobRequest('acme'))
  const second = await testDevice(administration, job)
  const station = await stationFor(administration, job, second.device)
  await administration.beginIntake(job)
  await release.metadataKey(station, second.keyRecord)
  await administration.rotateKey('acme', 'anna')
  assert.is((await ended(fixture, 'acme')).state, 'none')
  await release.reseal(station, second.keyRecord)
  assert.equal(rowsOf(fixture), [{ version: 2, epochs: 2 }])
  const again = await fixture.reopen()
  const { stored, objectKey } = second.seal('photos', 'k2', Buffer.from('content'))
  const proof = proofOf(scene.owner, 'GET', stored.place, { at: fixture.clock.now })
  assert.equal((await again.release.release({ proof, object: stored, parts: [] })).keys, [objectKey])
  await fixture.remove()
})

test('a keystore of before keys had versions is taken over: its accounts have their own key, its epochs are under it', async () => {
  const scene = await sceneOf(3)
  const { fixture } = scene
  await fixture.authority.close()
  const database = new Database(join(fixture.directory, 'keystore.sqlite'))
  database.exec(`
    ALTER TABLE accounts ADD COLUMN suite integer NOT NULL DEFAULT 0;
    ALTER TABLE accounts ADD COLUMN spki blob NOT NULL DEFAULT x'';
    UPDATE accounts SET suite = (SELECT suite FROM master_keys WHERE master_keys.id = accounts.id),
      spki = (SELECT spki FROM master_keys WHERE master_keys.id = accounts.id);
    DROP INDEX epochs_of_master;
    ALTER TABLE epochs DROP COLUMN master;
    ALTER TABLE epochs DROP COLUMN version;
    DROP TABLE master_key_users; DROP TABLE key_works; DROP TABLE destructions; DROP TABLE master_keys;
    DROP TABLE process_certificates; -- of the migrations behind it
    DROP TABLE export_orders; DROP TABLE export_withdrawals; DROP TABLE export_devices;
    DELETE FROM kysely_migration WHERE name >= '0006';`)
  database.close()
  await fixture.reopen()
  assert.is(await scene.read(), 'the key')
  await fixture.authority.administration.rotateKey('acme', 'anna')
  assert.is((await ended(fixture, 'acme')).state, 'none')
  assert.equal(rowsOf(fixture), [{ version: 2, epochs: 3 }])
  await fixture.reopen()
  assert.is(await scene.read(), 'the key')
  await fixture.remove()
})

test.run()

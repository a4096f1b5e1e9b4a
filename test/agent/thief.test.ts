import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Device } from '../../agent/device.ts'
import { recipientContext, verifyKeyRecord } from '../../format/key-record.ts'
import { DEVICE_KEYS } from '../../hsm/device-token.ts'
import { TokenError } from '../../hsm/token.ts'
import { StoreError } from '../../store/object-store.ts'
import { readAll } from '../store/pack/device.ts'
import { sealift } from './agent.ts'
import { prepareDevice } from './prepared.ts'

const test = suite('a thief with device, PIN and unlock code')

test('learns names and sizes of a write-only job, and opens no object of a closed epoch', async () => {
  const prepared = await prepareDevice()
  try {
    const source = join(prepared.root, 'source')
    mkdirSync(source)
    for (let count = 0; count < 30; count++) writeFileSync(join(source, `f${count}`), `secret ${count}`)
    assert.is((await sealift(prepared, ['copy', source, 's3://b/in'], prepared.code)).code, 0)

    // everything the device has: state directory, drive, and an open token (so its PIN)
    const device = await Device.open({ stateDirectory: prepared.state, drivePaths: [prepared.drive], tokenUri: null })
    await device.unlock(prepared.code)
    const { store, unlocked } = device.job
    const { objects } = await store.list('b', { prefix: '', limit: 1000 })
    assert.is(objects.length, 30, 'names are readable: that is promised to nobody who has the code')

    let refused = 0
    for (const { key } of objects)
      try {
        const found = await store.get('b', key)
        if (found === null) throw new Error(`${key} is listed and not there`)
        await readAll(found.body)
      } catch (error) {
        assert.ok(error instanceof StoreError && error.fault === 'invalid-state', String(error))
        refused++
      }
    assert.is(refused, 30)

    // around the agent: every stanza of every key record, with every key that the token has
    const identity = await unlocked.token.publicKey(DEVICE_KEYS.identity)
    let tried = 0
    for (const name of readdirSync(join(prepared.drive, 'keys'))) {
      const record = verifyKeyRecord(
        readFileSync(join(prepared.drive, 'keys', name)),
        identity?.spki ?? Buffer.alloc(0),
      )
      for (const stanza of record.recipients)
        for (const label of [DEVICE_KEYS.transport, DEVICE_KEYS.identity])
          try {
            await unlocked.token.open(label, stanza, recipientContext(record, stanza.suite, stanza.keyId))
            assert.unreachable(`the token opened an epoch key with ${label}`)
          } catch (error) {
            assert.ok(error instanceof TokenError, String(error))
            tried++
          }
    }
    assert.ok(tried >= 2)
    await device.close()

    // the provider's import key does open them: the refusals above are not for want of good bytes
    const [name] = readdirSync(join(prepared.drive, 'keys'))
    const record = verifyKeyRecord(
      readFileSync(join(prepared.drive, 'keys', name ?? '')),
      identity?.spki ?? Buffer.alloc(0),
    )
    const [stanza] = record.recipients
    if (stanza === undefined) throw new Error('a key record without a recipient')
    assert.is(
      (await prepared.provider.open(prepared.importKey, stanza, recipientContext(record, stanza.suite, stanza.keyId)))
        .length,
      32,
    )
  } finally {
    await prepared.remove()
  }
})

test.run()

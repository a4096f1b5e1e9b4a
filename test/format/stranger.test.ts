import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { makeSmallDrive } from './small-drive.ts'
import { openObject } from './stranger.ts'
import { openGrant, openKeyRecord, openSigned, treeRoot } from './stranger-keys.ts'
import type { VectorFile } from './vector-readers.ts'

const stranger = suite('the second decoder')
const drive = await makeSmallDrive()
const [first, second] = drive.epochs
const name = { account: 'acme', job: drive.ids.job, bucket: 'photos' }
const epochOf = (key: string) => (key === 'a.txt' ? second : first)

stranger('it imports nothing of format/', () => {
  for (const file of ['stranger.ts', 'stranger-keys.ts', 'stranger-bytes.ts']) {
    const imports = readFileSync(new URL(file, import.meta.url), 'utf8').match(/from '[^']+'/g) ?? []
    assert.ok(imports.length > 0)
    for (const each of imports) assert.match(each, /^from '(node:crypto|cborg|\.\/stranger[\w-]*\.ts)'$/)
  }
})

for (const [key, plain] of drive.plain)
  stranger(`it opens ${key} (${plain.length} bytes) from the pack with the epoch key`, () => {
    const epoch = epochOf(key)
    assert.ok(openObject(drive.pack.bytes(), epoch.id, epoch.key, { ...name, key }).equals(plain))
  })

stranger('it opens every object of the pack that is kept as a vector', () => {
  const { cases }: VectorFile = JSON.parse(
    readFileSync(new URL('../vectors/sealift/pack.json', import.meta.url), 'utf8'),
  )
  const [kept] = cases
  const epochs: { id: string; key: string }[] = JSON.parse(kept?.inputs.epochs ?? '[]')
  const plaintexts: Record<string, string> = JSON.parse(kept?.inputs.plaintexts ?? '{}')
  const pack = Buffer.from(kept?.bytes ?? '', 'base64')
  const job = pack.toString('hex', 24, 40)
  assert.ok(Object.keys(plaintexts).length >= 4)
  for (const [key, plain] of Object.entries(plaintexts)) {
    const epoch = epochs[key === 'a.txt' ? 1 : 0]
    const opened = openObject(pack, epoch?.id ?? '', Buffer.from(epoch?.key ?? '', 'hex'), { ...name, job, key })
    assert.ok(opened.equals(Buffer.from(plain, 'base64')), key)
  }
})

stranger('it does not open an object under another account, job, bucket or key', () => {
  const pack = drive.pack.bytes()
  const open = (other: object) => openObject(pack, first.id, first.key, { ...name, key: 'big', ...other })
  open({})
  for (const other of [{ account: 'acme2' }, { job: '0'.repeat(32) }, { bucket: 'photo' }, { key: 'bigger' }])
    assert.throws(() => open(other))
})

stranger('it opens the key record with the private key of its recipient', () => {
  const d = Buffer.from(drive.opener.privateKey.export({ format: 'jwk' }).d ?? '', 'base64url')
  assert.ok(openKeyRecord(first.record, drive.device.spki, d).equals(first.key))
  assert.throws(() => openKeyRecord(first.record, drive.provider.spki, d))
})

stranger('it finds the signed root over the leaves', () => {
  const checkpoint = openSigned(drive.checkpoints[1] ?? Buffer.alloc(0), 'checkpoint', drive.device.spki)
  assert.equal(
    Buffer.from(treeRoot(drive.leaves)),
    Buffer.from(checkpoint.root instanceof Uint8Array ? checkpoint.root : []),
  )
  assert.is(checkpoint.size, drive.leaves.length)
})

stranger('it opens the grant share with the unlock code', () => {
  const file = drive.files.get('grant') ?? Buffer.alloc(0)
  assert.ok(openGrant(file, drive.grant.id, drive.unlockCode).equals(drive.grantShare))
  assert.throws(() => openGrant(file, drive.grant.id, '00000-00000-00000-00000-00000'))
})

stranger.run()

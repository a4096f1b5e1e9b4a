import { createHmac, createSecretKey, hkdfSync, randomBytes } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type EpochId, type JobId, newId } from '../../format/bytes.ts'
import {
  checkCommitment,
  deriveEpochKeys,
  deriveMetadataKey,
  epochCommitment,
  openSmall,
  sealSmall,
  unwrapMetadataKey,
  wrapMetadataKey,
} from '../../format/epoch-key.ts'
import { expand, expandWith, label } from '../../format/kdf.ts'
import { faultOf } from './faults.ts'

const kdf = suite('key derivation')

kdf("Expand after Extract is Node's HKDF, for every length", () => {
  for (const length of [1, 16, 31, 32, 33, 47, 48])
    for (const infoLength of [0, 1, 100, 300]) {
      const [ikm, salt, info] = [randomBytes(40), randomBytes(20), randomBytes(infoLength)]
      const prk = createHmac('sha384', salt).update(ikm).digest()
      const wanted = Buffer.from(hkdfSync('sha384', ikm, salt, info, length))
      assert.equal(expand(prk, info, length), wanted)
      assert.equal(expandWith(createSecretKey(prk), info, length), wanted)
    }
})

kdf('keys of 1 to 128 bytes are taken, longer ones and other lengths of output refused', () => {
  for (const size of [1, 32, 48, 127, 128])
    assert.equal(
      expand(Buffer.alloc(size, 7), Buffer.alloc(3), 48),
      expandWith(createSecretKey(Buffer.alloc(size, 7)), Buffer.alloc(3), 48),
    )
  assert.throws(() => expand(Buffer.alloc(129), Buffer.alloc(0), 32), /above one block/)
  for (const length of [0, -1, 49]) assert.throws(() => expand(Buffer.alloc(32), Buffer.alloc(0), length), /1\.\.48/)
})

kdf('a label is "sealift/v1 ", purpose, zero byte, parts', () => {
  assert.equal(label('wrap key'), Buffer.from('sealift/v1 wrap key\0'))
  assert.equal(label('x', Buffer.of(1), Buffer.of(2, 3)), Buffer.from('sealift/v1 x\0\x01\x02\x03'))
})

kdf('wrap key, metadata key and commitment of one epoch key are three different things', () => {
  const key = randomBytes(32)
  const [job, epoch] = [newId<JobId>(), newId<EpochId>()]
  const { wrapKey, metadataKey } = deriveEpochKeys(key)
  assert.equal(metadataKey.export(), deriveMetadataKey(key))
  const all = [wrapKey.export(), metadataKey.export(), epochCommitment(key, job, epoch), key].map(each =>
    each.toString('hex'),
  )
  assert.is(new Set(all).size, 4)
})

kdf('a commitment fits its key, job and epoch and no other', () => {
  const key = randomBytes(32)
  const [job, epoch] = [newId<JobId>(), newId<EpochId>()]
  const commitment = epochCommitment(key, job, epoch)
  checkCommitment(key, job, epoch, commitment)
  for (const run of [
    () => checkCommitment(randomBytes(32), job, epoch, commitment),
    () => checkCommitment(key, newId(), epoch, commitment),
    () => checkCommitment(key, job, newId(), commitment),
    () => checkCommitment(key, job, epoch, commitment.subarray(1)),
    () => checkCommitment(Buffer.concat([key, Buffer.of(0)]), job, epoch, commitment),
  ])
    assert.is(faultOf(run), 'tampered')
})

kdf('a small seal opens with its key and context only; nothing and short bytes are refused', () => {
  const key = createSecretKey(randomBytes(32))
  for (const length of [0, 1, 1000]) {
    const sealed = sealSmall(key, Buffer.alloc(length, 1), Buffer.from('aad'))
    assert.is(sealed.length, length + 28)
    assert.equal(openSmall(key, sealed, Buffer.from('aad'), 'it'), Buffer.alloc(length, 1))
    assert.is(
      faultOf(() => openSmall(key, sealed, Buffer.from('AAD'), 'it')),
      'tampered',
    )
    assert.is(
      faultOf(() => openSmall(createSecretKey(randomBytes(32)), sealed, Buffer.from('aad'), 'it')),
      'tampered',
    )
  }
  for (const length of [0, 27])
    assert.is(
      faultOf(() => openSmall(key, Buffer.alloc(length), Buffer.alloc(0), 'it')),
      'truncated',
    )
})

kdf('a kept metadata key opens for its own epoch only', () => {
  const indexKey = createSecretKey(randomBytes(32))
  const [epoch, other] = [newId<EpochId>(), newId<EpochId>()]
  const wrapped = wrapMetadataKey(indexKey, Buffer.alloc(32, 9), epoch)
  assert.equal(unwrapMetadataKey(indexKey, wrapped, epoch), Buffer.alloc(32, 9))
  assert.is(
    faultOf(() => unwrapMetadataKey(indexKey, wrapped, other)),
    'tampered',
  )
})

kdf.run()

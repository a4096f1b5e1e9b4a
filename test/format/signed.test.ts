import { createPublicKey, generateKeyPairSync, privateDecrypt, randomBytes } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type DeviceId, type GrantId, type JobId, newId, type ObjectId } from '../../format/bytes.ts'
import { type CborValue, encodeCbor } from '../../format/cbor.ts'
import { signExportJob, verifyExportJob } from '../../format/export-job.ts'
import { peekGrant, verifyGrant } from '../../format/grant.ts'
import { hpkeOpen } from '../../format/hpke.ts'
import { signJobOrder, verifyJobOrder } from '../../format/job-order.ts'
import { makeKeyRecord, verifyKeyRecord } from '../../format/key-record.ts'
import {
  encodeReceiptLine,
  mayDeleteSource,
  parseReceiptLine,
  type Receipt,
  type ReceiptLine,
  signReceipt,
  verifyReceipt,
} from '../../format/receipt.ts'
import { encodeBinding, parseBinding } from '../../format/release.ts'
import { RELEASE_CODECS } from '../../format/release-calls.ts'
import { parseSigned, signingKey, signMessage, verifySigned } from '../../format/signed.ts'
import { HPKE_P256, keyId, RSA_OAEP_SHA256, sealTo, unbindSecret, wrapSuite } from '../../format/wrap-suite.ts'
import { faultOf, faultOfAsync } from './faults.ts'
import { ecdhOf, makeParties } from './parties.ts'
import { newSigner } from './signer.ts'

const signed = suite('signed messages and wrap suites')
const signer = newSigner()
const parties = await makeParties()

signed('a message is taken as what it was signed as, and as nothing else', async () => {
  const message = await signMessage('custody-event', { a: 1 }, signer.sign)
  assert.is(verifySigned(parseSigned(message, 'custody-event'), signer.spki).count('a'), 1)
  assert.is(
    faultOf(() => parseSigned(message, 'receipt')),
    'mismatch',
  )
  // the same payload and signature under another name
  const { payload, signature } = parseSigned(message, 'custody-event')
  const renamed = encodeCbor(['receipt', payload, signature])
  assert.is(
    faultOf(() => verifySigned(parseSigned(renamed, 'receipt'), signer.spki)),
    'tampered',
  )
  assert.is(
    faultOf(() => verifySigned(parseSigned(message, 'custody-event'), newSigner().spki)),
    'tampered',
  )
  assert.is(
    faultOf(() => parseSigned(message, 'custody-event', message.length - 1)),
    'limit',
  )
})

signed('a signer that gives no 64 bytes is refused', async () => {
  assert.is(await faultOfAsync(() => signMessage('grant', {}, async () => Buffer.alloc(63))), 'malformed')
})

signed('only P-256 keys sign', () => {
  const der = { type: 'spki', format: 'der' } as const
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export(der)
  const ed = generateKeyPairSync('ed25519').publicKey.export(der)
  for (const key of [p384, ed])
    assert.is(
      faultOf(() => signingKey(key)),
      'unsupported',
    )
  for (const key of [Buffer.alloc(0), Buffer.alloc(91)])
    assert.is(
      faultOf(() => signingKey(key)),
      'malformed',
    )
  assert.ok(signingKey(signer.spki).equals(createPublicKey({ key: signer.spki, ...der })))
})

signed('a grant and an order are read as they were signed, with a signature of their signer only', async () => {
  assert.equal(verifyGrant(parties.signedGrant, parties.provider.spki), parties.grant)
  assert.equal(peekGrant(parties.signedGrant), parties.grant)
  assert.is(
    faultOf(() => verifyGrant(parties.signedGrant, parties.device.spki)),
    'tampered',
  )
  const order = {
    job: newId<JobId>(),
    account: 'a',
    buckets: ['x', 'y'],
    acl: 'public-read',
    mode: 'readable',
    deletes: 'apply',
    versions: 'keep',
    orderedAt: 5,
  } as const
  const message = await signJobOrder({ ...order, buckets: [...order.buckets] }, signer.sign)
  assert.equal(verifyJobOrder(message, signer.spki), order)
  assert.is(
    faultOf(() => verifyJobOrder(message, parties.provider.spki)),
    'tampered',
  )
})

signed('a job that carries objects out is read as it was signed, with a signature of its signer only', async () => {
  const job = { job: newId<JobId>(), account: 'a', buckets: ['x', 'y'], endsAt: 6, orderedAt: 5 }
  const message = await signExportJob(job, signer.sign)
  assert.equal(verifyExportJob(message, signer.spki), job)
  for (const read of [
    () => verifyExportJob(message, parties.provider.spki),
    () => verifyJobOrder(message, signer.spki),
  ])
    assert.ok(['tampered', 'mismatch'].includes(faultOf(read)))
})

const line: ReceiptLine = {
  bucket: 'b',
  key: 'k',
  objectId: newId<ObjectId>(),
  size: 3,
  source: null,
  sealed: { id: 1, bytes: Buffer.alloc(32) },
  outcome: 'stored',
  reason: '',
}
const receipt: Receipt = {
  job: newId<JobId>(),
  device: newId<DeviceId>(),
  account: 'a',
  level: 'key',
  checkpoint: Buffer.alloc(32),
  freshness: 'seal-code',
  issuedAt: 1,
  lines: 1,
  held: 0,
  root: Buffer.alloc(32),
}
signed('a receipt and its lines come back', async () => {
  assert.equal(verifyReceipt(await signReceipt(receipt, signer.sign), signer.spki), receipt)
  assert.equal(parseReceiptLine(encodeReceiptLine(line)), line)
})

signed('a source may be deleted only when stored, proved by key or content, and fresh', () => {
  for (const level of ['digest', 'key', 'content'] as const)
    for (const freshness of ['seal-code', 'seal-file', 'challenge', 'overridden'] as const)
      for (const outcome of ['stored', 'held'] as const)
        assert.is(
          mayDeleteSource({ ...receipt, level, freshness }, { ...line, outcome }),
          level !== 'digest' && freshness !== 'overridden' && outcome === 'stored',
        )
})

signed('a secret sealed with HPKE opens for its recipient and context only', () => {
  const { spki, agree } = ecdhOf(Buffer.alloc(32, 7))
  const secret = randomBytes(32)
  const context = { info: 'info', aad: Buffer.from('aad') }
  const sealed = sealTo({ suite: HPKE_P256, spki }, secret, context)
  assert.equal(hpkeOpen(agree, spki, sealed, Buffer.from('info'), context.aad), secret)
  const other = ecdhOf(Buffer.alloc(32, 8))
  assert.is(
    faultOf(() => hpkeOpen(agree, spki, sealed, Buffer.from('other'), context.aad)),
    'tampered',
  )
  assert.is(
    faultOf(() => hpkeOpen(agree, spki, sealed, Buffer.from('info'), Buffer.from('other'))),
    'tampered',
  )
  assert.is(
    faultOf(() => hpkeOpen(other.agree, other.spki, sealed, Buffer.from('info'), context.aad)),
    'tampered',
  )
})

signed('a secret sealed with RSA-OAEP carries its context inside; smaller keys are refused', () => {
  const der = { type: 'spki', format: 'der' } as const
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 3072 })
  const context = { info: 'info', aad: Buffer.from('aad') }
  const { ciphertext } = sealTo({ suite: RSA_OAEP_SHA256, spki: publicKey.export(der) }, Buffer.alloc(32, 5), context)
  const bound = privateDecrypt({ key: privateKey, oaepHash: 'sha256' }, ciphertext)
  assert.is(bound.length, 64)
  assert.equal(unbindSecret(bound, context), Buffer.alloc(32, 5))
  for (const wrong of [
    { ...context, info: 'x' },
    { ...context, aad: Buffer.alloc(0) },
    { info: 'infoa', aad: Buffer.from('ad') },
  ])
    assert.is(
      faultOf(() => unbindSecret(bound, wrong)),
      'tampered',
    )
  const small = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export(der)
  assert.is(
    faultOf(() => sealTo({ suite: RSA_OAEP_SHA256, spki: small }, Buffer.alloc(32), context)),
    'unsupported',
  )
  assert.is(
    faultOf(() => sealTo({ suite: 'ecdsa-p256', spki: signer.spki }, Buffer.alloc(32), context)),
    'unsupported',
  )
  assert.is(
    faultOf(() => sealTo({ suite: HPKE_P256, spki: signer.spki }, Buffer.alloc(31), context)),
    'malformed',
  )
})

signed('known suites are read off the wire, reserved and unknown ones refused', () => {
  for (const id of [0x10, 0x20, 0x30, 0x31]) assert.is(wrapSuite(id), id)
  for (const id of [0, 0x11, 0x40, 0xffff])
    assert.is(
      faultOf(() => wrapSuite(id)),
      'unsupported',
    )
})

signed('a key record has 1 to 16 recipients, each stanza bound to its place', async () => {
  const head = {
    epoch: newId<Parameters<typeof makeKeyRecord>[1]['epoch']>(),
    job: newId<JobId>(),
    device: newId<DeviceId>(),
    grantHash: Buffer.alloc(32),
    createdAt: 1,
    maxObjects: 1,
    maxBytes: 1,
  }
  const recipient = {
    suite: HPKE_P256,
    keyId: keyId(signer.spki),
    seal: async (secret: Uint8Array, context: { info: string; aad: Uint8Array }) =>
      sealTo({ suite: HPKE_P256, spki: signer.spki }, secret, context),
  } as const
  const make = (count: number) =>
    makeKeyRecord(
      Buffer.alloc(32),
      head,
      Array.from({ length: count }, () => recipient),
      signer.sign,
    )
  for (const count of [1, 16]) assert.is(verifyKeyRecord(await make(count), signer.spki).recipients.length, count)
  for (const count of [0, 17]) assert.is(await faultOfAsync(() => make(count)), 'limit')
})

signed('a binding and a place come back; an ACL that is no text or too long is refused', () => {
  assert.equal(parseBinding(encodeBinding('o', 'public-read')), { owner: 'o', acl: 'public-read', encryption: null })
  const encryption = { key: 'k', context: '{"a":"b"}' }
  assert.equal(parseBinding(encodeBinding(null, '', encryption)), { owner: '', acl: '', encryption })
  const wrong: [CborValue, string][] = [
    [{ k: 'k', c: 'a'.repeat(4097) }, 'limit'],
    [{ k: 'a'.repeat(129), c: '' }, 'limit'],
    [{ k: 'k' }, 'malformed'],
    [{ k: 'k', c: '', z: 1 }, 'malformed'],
    [null, 'malformed'],
  ]
  for (const [enc, fault] of wrong)
    assert.is(
      faultOf(() => parseBinding(encodeCbor({ owner: 'o', acl: '', enc }))),
      fault,
    )
  assert.is(
    faultOf(() => parseBinding(encodeCbor({ owner: 'o', acl: 1 }))),
    'malformed',
  )
  assert.is(
    faultOf(() => parseBinding(encodeCbor({ owner: 'o', acl: 'a'.repeat(49_153) }))),
    'limit',
  )
  for (const place of [
    { bucket: 'b', key: 'k' },
    { bucket: 'b', key: 'k', part: { upload: 'u', number: 1 } },
  ])
    assert.equal(RELEASE_CODECS.place.take(RELEASE_CODECS.place.encode(place), 'place'), place)
})

signed('ids of different things are different', () => {
  assert.not.equal(newId<GrantId>(), newId<GrantId>())
})

signed.run()

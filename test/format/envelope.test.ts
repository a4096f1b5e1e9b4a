import { createSecretKey, randomBytes } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type EpochId,
  type JobId,
  NO_ID,
  newId,
  type ObjectId,
  parseId,
  readLength,
  writeLength,
} from '../../format/bytes.ts'
import { type ObjectContext, objectContextHash } from '../../format/context.ts'
import { digestOf, SHA_256 } from '../../format/digest.ts'
import {
  COMPOSITE,
  type CompositePart,
  compositeHeaderHash,
  type EnvelopeFields,
  encodeParts,
  MAX_PARTS,
  openEnvelope,
  parseEnvelope,
  sealEnvelope,
} from '../../format/envelope.ts'
import {
  encodeMetadata,
  encodeTombstone,
  type ObjectMetadata,
  openMetadata,
  parseMetadata,
  parseTombstone,
  sealMetadata,
} from '../../format/metadata.ts'
import { faultOf } from './faults.ts'

const envelope = suite('envelope and metadata')
const wrapKey = createSecretKey(randomBytes(32))
const job = newId<JobId>()
const objectId = newId<ObjectId>()
const context: ObjectContext = { account: 'a', job, bucket: 'b', key: 'k', objectId }

function partsOf(count: number, length = 5): CompositePart[] {
  return Array.from({ length: count }, () => ({
    objectId: newId<ObjectId>(),
    plaintextLength: length,
    bodyLength: 139,
    digestId: SHA_256,
    digest: Buffer.alloc(32, 1),
  }))
}
function composite(parts: CompositePart[], change: Partial<EnvelopeFields> = {}): Buffer {
  const fields: EnvelopeFields = {
    kind: COMPOSITE,
    kekKind: 1,
    kekId: newId<EpochId>(),
    job,
    objectId,
    plaintextLength: parts.reduce((sum, each) => sum + each.plaintextLength, 0),
    bodyLength: 0,
    digestId: SHA_256,
    digest: digestOf(SHA_256, encodeParts(parts)),
    sealedMetadata: Buffer.alloc(40, 2),
    parts,
    ...change,
  }
  return sealEnvelope(wrapKey, Buffer.alloc(32, 3), fields, compositeHeaderHash(objectId), context)
}

for (const count of [0, 1, 2, MAX_PARTS])
  envelope(`a composite of ${count} parts comes back`, () => {
    const parts = partsOf(count)
    const parsed = parseEnvelope(composite(parts))
    assert.equal(parsed.parts, parts)
    assert.equal(openEnvelope(wrapKey, parsed, compositeHeaderHash(objectId), context), Buffer.alloc(32, 3))
  })

envelope('a composite whose list does not add up, fit or end is refused', () => {
  const parts = partsOf(2)
  assert.is(
    faultOf(() => parseEnvelope(composite(parts, { plaintextLength: 11 }))),
    'malformed',
  )
  assert.is(
    faultOf(() => parseEnvelope(composite(parts, { digest: Buffer.alloc(32) }))),
    'tampered',
  )
  assert.is(
    faultOf(() => parseEnvelope(composite(parts, { digestId: 1 }))),
    'malformed',
  )
  assert.is(
    faultOf(() => parseEnvelope(composite(parts, { bodyLength: 1 }))),
    'malformed',
  )
  assert.is(
    faultOf(() => parseEnvelope(composite(parts, { kind: 1, bodyLength: 1 }))),
    'malformed',
  )
  assert.is(
    faultOf(() => parseEnvelope(composite(partsOf(2, 2 ** 53 - 1)))),
    'limit',
  )
  assert.is(
    faultOf(() => composite(partsOf(MAX_PARTS + 1))),
    'limit',
  )
  assert.is(
    faultOf(() => sealEnvelope(wrapKey, Buffer.alloc(31), parseEnvelope(composite(parts)), Buffer.alloc(48), context)),
    'malformed',
  )
})

envelope('every field of the context changes its hash, and no two fields run into each other', () => {
  const part = { upload: 'u', number: 1 }
  const others: ObjectContext[] = [
    context,
    { ...context, account: 'ab', bucket: '' },
    { ...context, account: '', bucket: 'ab' },
    { ...context, job: null },
    { ...context, bucket: 'bk', key: '' },
    { ...context, key: 'bk', bucket: '' },
    { ...context, objectId: newId() },
    { ...context, part },
    { ...context, part: { ...part, number: 2 } },
    { ...context, part: { ...part, upload: 'v' } },
    { ...context, binding: Buffer.of(1) },
  ]
  assert.is(new Set(others.map(each => objectContextHash(each).toString('hex'))).size, others.length)
})

const metadata: ObjectMetadata = {
  bucket: 'b',
  key: 'ключ',
  modifiedAt: 1,
  etag: 'e',
  headers: { 'cache-control': 'no' },
  user: Object.fromEntries([['__proto__', 'x']]),
}
envelope('metadata come back whole, with and without what may be absent', () => {
  const full: ObjectMetadata = {
    ...metadata,
    contentType: 't',
    link: '../x',
    checksum: { name: 'CRC32', value: 'v', type: 'FULL' },
    digest: { id: SHA_256, bytes: Buffer.alloc(32) },
    part: { upload: 'u', number: 10_000 },
  }
  for (const each of [metadata, full]) {
    const parsed = parseMetadata(encodeMetadata(each))
    assert.equal({ ...parsed, headers: { ...parsed.headers }, user: { ...parsed.user } }, each)
  }
  assert.equal(Object.entries(parseMetadata(encodeMetadata(metadata)).user), [['__proto__', 'x']])
})

envelope('names and metadata at their bounds are written, and above them refused by the writer', () => {
  for (const [change, fault] of [
    [{ key: 'k'.repeat(1024) }, 'nothing'],
    [{ key: 'k'.repeat(1025) }, 'limit'],
    [{ key: 'ä'.repeat(513) }, 'limit'],
    [{ bucket: 'b'.repeat(256) }, 'limit'],
    [{ link: 'l'.repeat(4096) }, 'nothing'],
    [{ link: 'l'.repeat(4097) }, 'limit'],
    [{ user: { a: 'x'.repeat(65_536) } }, 'limit'],
  ] as const) {
    const each = { ...metadata, ...change }
    assert.is(
      faultOf(() => parseMetadata(encodeMetadata(each))),
      fault,
    )
  }
})

envelope('a tombstone of a whole composite comes back', () => {
  const stone = { bucket: 'b', key: 'k', objectIds: partsOf(10_001).map(each => each.objectId) }
  assert.equal(parseTombstone(encodeTombstone(stone)), stone)
})

envelope('sealed metadata open at their own place only', () => {
  const place = { kind: 1, objectId, job, epoch: newId<EpochId>() }
  const sealed = sealMetadata(wrapKey, place, Buffer.from('x'))
  assert.equal(openMetadata(wrapKey, place, sealed), Buffer.from('x'))
  for (const other of [
    { kind: 2 },
    { objectId: newId<ObjectId>() },
    { job: newId<JobId>() },
    { epoch: newId<EpochId>() },
  ])
    assert.is(
      faultOf(() => openMetadata(wrapKey, { ...place, ...other }, sealed)),
      'tampered',
    )
})

envelope('ids are 32 lower-case hexadecimal digits, lengths end at 2^53-1', () => {
  assert.is(parseId(NO_ID, 'id'), NO_ID)
  for (const text of ['', 'A'.repeat(32), '0'.repeat(31), '0'.repeat(33), 'g'.repeat(32)])
    assert.is(
      faultOf(() => parseId(text, 'id')),
      'malformed',
    )
  const bytes = Buffer.alloc(8)
  for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    writeLength(bytes, value, 0)
    assert.is(bytes.readBigUInt64BE(), BigInt(value))
    assert.is(readLength(bytes, 0, 'it'), value)
  }
  bytes.writeBigUInt64BE(2n ** 53n)
  assert.is(
    faultOf(() => readLength(bytes, 0, 'it')),
    'limit',
  )
})

envelope.run()

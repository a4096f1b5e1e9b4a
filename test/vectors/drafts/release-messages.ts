import { ACL_DRAFTS } from './acl-messages.ts'
import { EXPORT_DRAFTS } from './export-messages.ts'
import { byDrive, type Draft, id, keep, noList, part, partPlace, place, proof, something, stored } from './release-structures.ts'

/** Messages of `KeyRelease` as CBOR maps written out, not made by the codecs that read them; and for each some that must be refused. */
const wrap = {
  proof,
  creation: Buffer.from('c'),
  kind: 3,
  object: id,
  core: Buffer.alloc(0),
  place,
  plain: 5,
  body: 139,
  digestId: 2,
  digest: Buffer.alloc(32),
  parts: [part],
  metadata: Buffer.from('m'),
  key: Buffer.alloc(32, 9),
  named: null,
}
const release = { proof: null, object: stored, parts: [stored, stored] }
const rewrap = {
  proof,
  object: byDrive,
  parts: [{ object: stored, metadata: Buffer.from('m') }],
  destination: place,
  metadata: Buffer.alloc(0),
  named: null,
}
const binding = Buffer.from('b')
const station = { s: 'dock 1', x: Buffer.alloc(32, 1), j: id, d: id }
const principal = { account: 'acme', user: 'u', name: 'Acme', accessKey: 'AK', groups: ['g', 'h'], domains: [] }
const chunk = { kind: 'chunk', previousSignature: 'a', digest: 'b', signature: 'c' }
const device = { device: id, identitySpki: Buffer.from('i'), grantHash: Buffer.alloc(32, 6) }
const job = {
  order: Buffer.from('o'),
  devices: [device],
  orderSpki: Buffer.from('s'),
  receiptSpki: Buffer.from('r'),
  receiptCertificate: Buffer.from('c'),
  caCertificate: Buffer.from('a'),
}
const proved = { envelope: Buffer.from('e'), coreHeader: Buffer.alloc(102, 5), place }
const receipt = {
  job: id,
  device: id,
  account: 'acme',
  level: 'key',
  checkpoint: Buffer.alloc(32, 7),
  freshness: 'seal-code',
  issuedAt: 1,
  lines: 2,
  held: 1,
  root: Buffer.alloc(32, 8),
}
const record = Buffer.from('k')
const key = Buffer.alloc(32, 9)

export const RELEASE_DRAFTS: Draft[] = [
  {
    message: 'authenticate ask',
    value: [proof],
    refused: [
      noList,
      ['no argument', 'malformed', []],
      ['an argument more', 'malformed', [proof, null]],
      ['text for bytes', 'malformed', ['p']],
    ],
  },
  {
    message: 'authenticate answer',
    value: principal,
    refused: [
      ['a field less', 'malformed', keep(principal, 'name')],
      ['a field more', 'malformed', { ...principal, role: 'admin' }],
      ['an account of 129 bytes', 'limit', { ...principal, account: 'a'.repeat(129) }],
      ['1001 groups', 'limit', { ...principal, groups: Array.from({ length: 1001 }, () => 'g') }],
      ['a group that is a number', 'malformed', { ...principal, groups: [1] }],
    ],
  },
  { message: 'hold ask', value: [proof], refused: [['nothing', 'malformed', []]] },
  { message: 'hold answer', value: null, refused: [something] },
  {
    message: 'verifyChunks ask',
    value: [proof, [chunk, { ...chunk, kind: 'trailer' }]],
    refused: [
      ['an unknown kind', 'unsupported', [proof, [{ ...chunk, kind: 'head' }]]],
      ['a signature of 65 bytes', 'limit', [proof, [{ ...chunk, signature: 'a'.repeat(65) }]]],
    ],
  },
  { message: 'verifyChunks answer', value: null, refused: [something] },
  {
    message: 'wrap ask',
    value: [wrap],
    refused: [
      ['a field less', 'malformed', [keep(wrap, 'metadata')]],
      ['a field more', 'malformed', [{ ...wrap, account: 'acme' }]],
      ['a creation that is null', 'malformed', [{ ...wrap, creation: null }]],
      ['an ACL, which is read from the proof', 'malformed', [{ ...wrap, acl: 'private' }]],
      ['an unknown kind', 'unsupported', [{ ...wrap, kind: 4 }]],
      ['an unknown digest', 'unsupported', [{ ...wrap, digestId: 3 }]],
      ['an object id of 15 bytes', 'malformed', [{ ...wrap, object: id.subarray(1) }]],
      ['a core header of 103 bytes', 'limit', [{ ...wrap, core: Buffer.alloc(103) }]],
      ['a negative length', 'malformed', [{ ...wrap, plain: -1 }]],
      ['a bucket of 256 bytes', 'limit', [{ ...wrap, place: { ...place, b: 'b'.repeat(256) } }]],
      ['part 10001', 'limit', [{ ...wrap, place: { ...partPlace, n: 10_001 } }]],
      ['a digest of 31 bytes', 'malformed', [{ ...wrap, digest: Buffer.alloc(31) }]],
      ['a key of 33 bytes', 'malformed', [{ ...wrap, key: Buffer.alloc(33) }]],
    ],
  },
  { name: 'wrap ask of nobody', message: 'wrap ask', value: [{ ...keep(wrap, 'creation'), proof: null }], refused: [] },
  { name: 'wrap ask without creation', message: 'wrap ask', value: [keep(wrap, 'creation')], refused: [] },
  {
    message: 'wrap answer',
    value: { envelope: Buffer.from('e'), binding, account: 'acme' },
    refused: [something, ['no binding', 'malformed', { envelope: Buffer.from('e'), account: 'acme' }]],
  },
  {
    message: 'beginUpload ask',
    value: [{ proof, place, upload: 'u', named: null }],
    refused: [
      ['no upload', 'malformed', [{ proof, place, named: null }]],
      ['an upload of 129 bytes', 'limit', [{ proof, place, upload: 'u'.repeat(129), named: null }]],
    ],
  },
  {
    message: 'beginUpload answer',
    value: Buffer.from('t'),
    refused: [something, ['4097 bytes', 'limit', Buffer.alloc(4097)]],
  },
  {
    message: 'release ask',
    value: [release],
    refused: [
      ['a place without its key', 'malformed', [{ ...release, object: { ...stored, p: keep(place, 'k') } }]],
      ['a job of 17 bytes', 'malformed', [{ ...release, object: { ...stored, j: Buffer.alloc(17) } }]],
      ['a binding of 53,761 bytes', 'limit', [{ ...release, object: { ...stored, r: Buffer.alloc(53_761) } }]],
      ['a part that is no map', 'malformed', [{ ...release, parts: [null] }]],
    ],
  },
  {
    message: 'release answer',
    value: { principal, keys: [key, key] },
    refused: [
      ['no list of keys', 'malformed', { principal, keys: null }],
      ['a key of 31 bytes', 'malformed', { principal, keys: [key.subarray(1)] }],
      ['a principal without its account', 'malformed', { principal: keep(principal, 'account'), keys: [key] }],
      ['a list alone', 'malformed', [key]],
    ],
  },
  { name: 'release answer to nobody', message: 'release answer', value: { principal: null, keys: [key] }, refused: [] },
  {
    message: 'rewrap ask',
    value: [rewrap],
    refused: [
      ['a part without its metadata', 'malformed', [{ ...rewrap, parts: [{ object: stored }] }]],
      ['no proof', 'malformed', [{ ...rewrap, proof: null }]],
    ],
  },
  {
    message: 'rewrap answer',
    value: { envelopes: [Buffer.from('e'), Buffer.from('f')], binding, partBinding: binding, revision: 0 },
    refused: [noList, ['no binding of parts', 'malformed', { envelopes: [], binding, revision: 0 }]],
  },
  ...ACL_DRAFTS,
  ...EXPORT_DRAFTS,
  {
    message: 'names ask',
    value: [['a', 'b']],
    refused: [['1001 ids', 'limit', [Array.from({ length: 1001 }, () => 'a')]]],
  },
  { message: 'names answer', value: ['Anna', null], refused: [['a number', 'malformed', [1]]] },
  {
    message: 'job ask',
    value: [station],
    refused: [
      ['a secret of 31 bytes', 'malformed', [{ ...station, x: Buffer.alloc(31) }]],
      ['a device as text', 'malformed', [{ ...station, d: '03' }]],
    ],
  },
  {
    message: 'job answer',
    value: job,
    refused: [
      ['a grant hash of 33 bytes', 'malformed', { ...job, devices: [{ ...device, grantHash: Buffer.alloc(33) }] }],
      ['a field less', 'malformed', keep(job, 'caCertificate')],
    ],
  },
  { message: 'metadataKey ask', value: [station, record], refused: [['no key record', 'malformed', [station]]] },
  { message: 'metadataKey answer', value: key, refused: [['31 bytes', 'malformed', key.subarray(1)]] },
  {
    message: 'reseal ask',
    value: [station, record],
    refused: [['null for a key record', 'malformed', [station, null]]],
  },
  { message: 'reseal answer', value: null, refused: [something] },
  {
    message: 'prove ask',
    value: [station, [proved, { ...proved, place: partPlace }]],
    refused: [['a field more', 'malformed', [station, [{ ...proved, objectKey: key }]]]],
  },
  {
    message: 'prove answer',
    value: [
      { outcome: 'proved', reason: '' },
      { outcome: 'refused', reason: 'tampered' },
    ],
    refused: [['an unknown outcome', 'unsupported', [{ outcome: 'stored', reason: '' }]]],
  },
  {
    message: 'signReceipt ask',
    value: [station, receipt],
    refused: [
      ['an unknown level', 'unsupported', [station, { ...receipt, level: 'none' }]],
      ['an unknown freshness', 'unsupported', [station, { ...receipt, freshness: 'old' }]],
      ['a root of 31 bytes', 'malformed', [station, { ...receipt, root: Buffer.alloc(31) }]],
    ],
  },
  { message: 'signReceipt answer', value: Buffer.from('receipt'), refused: [something] },
]

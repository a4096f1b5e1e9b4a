import { type Draft, id, keep, noList, partPlace, proof, something, stored } from './release-structures.ts'

const bucketAsk = { proof, bucket: 'b' }
const station = { s: 'dock 1', x: Buffer.alloc(32, 1), j: id, d: id }
const order = {
  ...{ id: '0123456789abcdef', job: id, user: 'u', key: 'AK', bucket: 'b', prefix: 'film/' },
  ...{ ordered: 5, withdrawn: null },
}
const asked = { order: order.id, epoch: id, objects: [{ object: { ...stored, p: partPlace }, parts: [stored] }] }
const job = { order: Buffer.from('o'), orderSpki: Buffer.from('s'), orders: [order] }
const exported = { outcome: 'exported', envelopes: [Buffer.from('e'), Buffer.from('f')] }

/** Messages of `KeyRelease` about exports. */
export const EXPORT_DRAFTS: Draft[] = [
  { message: 'orderExport ask', value: [bucketAsk], refused: [['no proof', 'malformed', [keep(bucketAsk, 'proof')]]] },
  {
    message: 'orderExport answer',
    value: order,
    refused: [
      something,
      ['an id of 17 bytes', 'limit', { ...order, id: '0'.repeat(17) }],
      ['a prefix of 1025 bytes', 'limit', { ...order, prefix: 'a'.repeat(1025) }],
      ['a job of 15 bytes', 'malformed', { ...order, job: id.subarray(1) }],
      ['no word on withdrawal', 'malformed', keep(order, 'withdrawn')],
    ],
  },
  {
    name: 'orderExport answer, withdrawn',
    message: 'orderExport answer',
    value: { ...order, withdrawn: 6 },
    refused: [],
  },
  {
    message: 'withdrawExport ask',
    value: [bucketAsk],
    refused: [['a bucket of 256 bytes', 'limit', [{ ...bucketAsk, bucket: 'b'.repeat(256) }]]],
  },
  { message: 'withdrawExport answer', value: null, refused: [something] },
  { message: 'exportOrders ask', value: [bucketAsk], refused: [['nothing', 'malformed', []]] },
  {
    message: 'exportOrders answer',
    value: [order],
    refused: [noList, ['1001 orders', 'limit', Array.from({ length: 1001 }, () => order)]],
  },
  {
    message: 'exportJob ask',
    value: [station],
    refused: [['a secret of 31 bytes', 'malformed', [{ ...station, x: Buffer.alloc(31) }]]],
  },
  {
    message: 'exportJob answer',
    value: job,
    refused: [
      ['no orders', 'malformed', keep(job, 'orders')],
      ['a key of 1025 bytes', 'limit', { ...job, orderSpki: Buffer.alloc(1025) }],
    ],
  },
  { message: 'exportKey ask', value: [station], refused: [['nothing', 'malformed', []]] },
  {
    message: 'exportKey answer',
    value: { epoch: id, keyRecord: Buffer.from('k') },
    refused: [
      ['a bare key', 'malformed', Buffer.alloc(32)],
      ['a record of 65,537 bytes', 'limit', { epoch: id, keyRecord: Buffer.alloc(65_537) }],
    ],
  },
  {
    message: 'exportObjects ask',
    value: [station, asked],
    refused: [
      ['no epoch', 'malformed', [station, keep(asked, 'epoch')]],
      ['an object without its parts', 'malformed', [station, { ...asked, objects: [{ object: stored }] }]],
      ['a field more', 'malformed', [station, { ...asked, proof }]],
    ],
  },
  {
    message: 'exportObjects answer',
    value: [exported, { outcome: 'refused', envelopes: [] }, { outcome: 'epoch-over', envelopes: [] }],
    refused: [
      noList,
      ['an unknown outcome', 'unsupported', [{ ...exported, outcome: 'released' }]],
      ['a reason', 'malformed', [{ ...exported, reason: '' }]],
    ],
  },
]

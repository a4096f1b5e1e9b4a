import { type CborValue, encodeCbor } from '../../../format/cbor.ts'
import { cut, type Draft, flip, hostile, longer } from './draft.ts'
import { PROOF_DRAFTS } from './proof-messages.ts'
import { RELEASE_DRAFTS } from './release-messages.ts'
import { write } from './vector-writer.ts'

const framed = (value: CborValue): Buffer => {
  const body = encodeCbor(value)
  const head = Buffer.alloc(4)
  head.writeUInt32BE(body.length)
  return Buffer.concat([head, body])
}
const calls = [
  { n: 1, m: 'authenticate', p: [Buffer.from('p')] },
  { n: 2, m: 'bind', p: [] },
]
const answers = [
  { n: 2, f: 'denied', e: 'no' },
  { n: 1, r: null },
]
const framing = (list: CborValue[]): Draft['refused'] => [
  ['a length above the bound', 'limit', { xor: [[0, 0x80]] }],
  flip('length of the first', 'malformed', 3),
  flip('CBOR of the first', 'malformed', 4),
  hostileFrame('an extra field', { ...Object(list[0]), z: 1 }),
  hostileFrame('no number', { m: 'bind', p: [] }),
  hostileFrame('no map', []),
]
function hostileFrame(why: string, value: CborValue): Draft['refused'][number] {
  return [why, 'malformed', { append: framed(value).toString('hex') }]
}

/** What store and keystore say to each other. */
export async function writeMessages(folder: string): Promise<void> {
  await write(
    folder,
    'release',
    'What every call of KeyRelease asks and answers: the CBOR of p and of r. value is what is read, bytes in hex.',
    RELEASE_DRAFTS.map(({ message, name = message, value, refused }) => {
      const bytes = encodeCbor(value)
      return {
        name,
        inputs: { message },
        bytes,
        refused: [
          cut('malformed'),
          longer('malformed'),
          ...refused.map(([why, fault, wrong]) => hostile(why, fault, bytes, wrong)),
        ],
      }
    }),
  )
  await write(folder, 'message-frame', 'Two calls on a stream, and their answers in another order.', [
    { name: 'calls', inputs: { side: 'ask' }, bytes: Buffer.concat(calls.map(framed)), refused: framing(calls) },
    {
      name: 'answers',
      inputs: { side: 'answer' },
      bytes: Buffer.concat(answers.map(framed)),
      refused: framing(answers),
    },
  ])
  await write(
    folder,
    'request-proof',
    'What callers prove themselves with: requests signed by header, presigned, by token, by DPoP proof, by ticket.',
    PROOF_DRAFTS.map(({ name, value, refused }) => {
      const bytes = encodeCbor(value)
      return {
        name,
        inputs: {},
        bytes,
        refused: [
          cut('malformed'),
          longer('malformed'),
          ...refused.map(([why, fault, wrong]) => hostile(why, fault, bytes, wrong)),
        ],
      }
    }),
  )
}

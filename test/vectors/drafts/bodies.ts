import { sealSeeded, seeded } from '../../format/stranger.ts'
import { cut, type Draft, flip } from './draft.ts'
import { write } from './vector-writer.ts'

const SEGMENT = 65_536
const ROOM = SEGMENT - 32

/** The encryption of bodies, over the lengths at the seams of segments. */
export async function writeBodies(folder: string): Promise<void> {
  await write(
    folder,
    'body',
    'Bodies are not kept: plaintext = seeded(plaintextSeed, plaintextLength); IV and nonces = seeded(nonceSeed, 32 + 12 a segment); seeded is AES-256-CTR under SHA-256(seed), counter 0. bodySha256 is of the result.',
    [0, 1, ROOM - 1, ROOM, ROOM + 1, 2 * ROOM, 2 * ROOM + 1].map(length => {
      const objectKey = seeded(`key ${length}`, 32)
      const objectId = seeded(`id ${length}`, 16).toString('hex')
      const inputs = {
        objectId,
        objectKey: objectKey.toString('hex'),
        segmentBytes: String(SEGMENT),
        plaintextSeed: `plain ${length}`,
        plaintextLength: String(length),
        nonceSeed: `nonce ${length}`,
      }
      const bytes = sealSeeded(objectId, objectKey, seeded(inputs.plaintextSeed, length), SEGMENT, inputs.nonceSeed)
      const refused: Draft['refused'] = [
        flip('magic', 'malformed', 0),
        flip('version', 'unsupported', 4),
        flip('suite', 'unsupported', 5),
        flip('a critical flag', 'unsupported', 6),
        flip('a flag that may be ignored is authentic all the same', 'tampered', 7),
        flip('segment length 0', 'limit', 9),
        flip('another segment length', 'mismatch', 11),
        flip('object id', 'tampered', 12),
        flip('FLOE parameters', 'mismatch', 28),
        flip('IV', 'tampered', 38),
        flip('header tag', 'tampered', 101),
        flip('length word of the first segment', 'tampered', 105),
        flip(
          'nonce of the last segment',
          'tampered',
          bytes.length - ((length === 0 ? 0 : length % ROOM || ROOM) + 16) - 1,
        ),
        flip('tag of the last segment', 'tampered', -1),
        cut('truncated'),
        ['another key', 'tampered', { inputs: { objectKey: '00'.repeat(32) } }],
      ]
      if (length > ROOM)
        refused.push([
          'a whole segment less, plaintext length to match',
          'tampered',
          { cut: bytes.length - 102 - SEGMENT, inputs: { plaintextLength: String(ROOM) } },
        ])
      return { name: `${length} bytes in segments of ${SEGMENT}`, inputs, bytes, stored: Buffer.alloc(0), refused }
    }),
  )
}

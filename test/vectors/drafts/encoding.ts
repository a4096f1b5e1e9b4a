import type { Draft } from './draft.ts'
import { write } from './vector-writer.ts'

const cbor = (name: string, wrong: string): Draft['refused'][number] => [name, 'malformed', { cut: 4, append: wrong }]

/** What is deterministic CBOR, and what is not. */
export async function writeEncoding(folder: string): Promise<void> {
  await write(
    folder,
    'cbor',
    'The map {"a": 1}, and what is not the deterministic encoding of a map with a whole number in "a".',
    [
      {
        name: '{"a": 1}',
        inputs: {},
        bytes: Buffer.from('a1616101', 'hex'),
        refused: [
          cbor('a longer head', 'a161611801'),
          cbor('an indefinite map', 'bf616101ff'),
          cbor('unsorted keys', 'a2616201616101'),
          cbor('a key twice', 'a2616101616101'),
          cbor('a float', 'a16161f93c00'),
          cbor('a tag', 'a16161c101'),
          cbor('undefined', 'a16161f7'),
          cbor('a negative number', 'a1616120'),
          cbor('2^64-1', 'a161611bffffffffffffffff'),
          cbor('text that is no UTF-8', 'a16180f7'),
          cbor('a number as key', 'a10102'),
          cbor('two items', 'a161610101'),
          cbor('a list', '8101'),
          cbor('nothing', ''),
          ['above its length', 'limit', { append: '00'.repeat(1024) }],
        ],
      },
    ],
  )
}

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseExportAsk } from '../../access/export-ask.ts'
import { AccessError } from '../../access/fault.ts'

const test = suite('headers of an order of an export')
const JOB = 'x-storage-export-job'
const PREFIX = 'x-storage-export-prefix'
const ID = '0123456789abcdef0123456789abcdef'
const asks: [string, [string, string][], string | null][] = [
  [
    'a prefix',
    [
      [JOB, ID],
      [PREFIX, 'a/b%20%C3%BC'],
    ],
    'a/b ü',
  ],
  [
    'the whole bucket',
    [
      [JOB, ID],
      [PREFIX, ''],
    ],
    '',
  ],
  [
    'names in any case',
    [
      [JOB.toUpperCase(), ID],
      ['X-Storage-Export-Prefix', 'a'],
    ],
    'a',
  ],
  [
    '1024 bytes',
    [
      [JOB, ID],
      [PREFIX, 'a'.repeat(1024)],
    ],
    'a'.repeat(1024),
  ],
  [
    '1025 bytes',
    [
      [JOB, ID],
      [PREFIX, 'a'.repeat(1025)],
    ],
    null,
  ],
  ['no prefix', [[JOB, ID]], null],
  ['no job', [[PREFIX, '']], null],
  [
    'a job of 31 digits',
    [
      [JOB, ID.slice(1)],
      [PREFIX, ''],
    ],
    null,
  ],
  [
    'a job in capitals',
    [
      [JOB, ID.toUpperCase()],
      [PREFIX, ''],
    ],
    null,
  ],
  [
    'a job twice',
    [
      [JOB, ID],
      [JOB, ID],
      [PREFIX, ''],
    ],
    null,
  ],
  [
    'a blank inside',
    [
      [JOB, ID],
      [PREFIX, 'a b'],
    ],
    null,
  ],
  [
    'a comma',
    [
      [JOB, ID],
      [PREFIX, 'a,b'],
    ],
    null,
  ],
  [
    'half an escape',
    [
      [JOB, ID],
      [PREFIX, 'a%2'],
    ],
    null,
  ],
  [
    'bytes that are no UTF-8',
    [
      [JOB, ID],
      [PREFIX, '%FF'],
    ],
    null,
  ],
]
for (const [name, headers, prefix] of asks)
  test(`${name}: ${prefix === null ? 'refused' : 'read'}`, () => {
    if (prefix !== null) {
      assert.equal(parseExportAsk(headers), { job: ID, prefix })
      return
    }
    assert.throws(
      () => parseExportAsk(headers),
      (error: unknown) => error instanceof AccessError && error.fault === 'malformed-export',
    )
  })

test.run()

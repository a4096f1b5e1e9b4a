import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startChecksum } from '../../../store/s3/checksum.ts'

const test = suite('S3 checksums')

// check values of "123456789": RFC 3385 (CRC32C), the CRC catalogue (CRC-32/ISO-HDLC, CRC-64/NVME)
for (const [name, value] of [
  ['CRC32', 'cbf43926'],
  ['CRC32C', 'e3069283'],
  ['CRC64NVME', 'ae8b14860a799888'],
] as const) {
  test(`${name} of the check string is the catalogued one, in one piece and byte by byte`, async () => {
    for (const pieces of [['123456789'], [...'123456789']]) {
      const running = await startChecksum(name)
      for (const piece of pieces) running.update(Buffer.from(piece))
      assert.is(running.digest().toString('hex'), value)
    }
  })
}

test.run()

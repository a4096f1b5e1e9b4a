// timeout: 180s, test 170s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { measureCopy } from '../checks/copy-memory.ts'

const test = suite('copying 20,000 small files')

test('stays under 300 MB over all processes and asks the token at most 20 times per 10,000 objects', async () => {
  const found = await measureCopy(20_000, 1000)
  assert.is(found.files, 20_000)
  assert.is(found.objects, 20_000)
  assert.ok(found.peakBytes < 300e6, `${(found.peakBytes / 1e6).toFixed(0)} MB`)
  assert.ok(found.tokenOperations <= 40, `${found.tokenOperations} token operations`)
})

test.run()

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { canonicalPath, canonicalQuery } from '../../../access/canonical.ts'

const test = suite('SigV4: canonical form')

test('the path is signed by its decoded bytes, once, nothing resolved', () => {
  assert.is(canonicalPath('/b/a/../c//d'), '/b/a/../c//d')
  assert.is(canonicalPath("/b/(x)!'*~+ %2f%2B"), '/b/%28x%29%21%27%2A~%2B%20/%2B')
  assert.is(canonicalPath('/b/%e2%82%ac'), '/b/%E2%82%AC')
  assert.is(canonicalPath('/b/%2520'), '/b/%2520')
  assert.is(canonicalPath('/b/%zz'), null)
  assert.is(canonicalPath('/b/%2'), null)
})

test('the query is sorted after encoding, signature left out, blank and repeated values kept', () => {
  assert.is(canonicalQuery('b=2&a=%7e&a=1&acl&X-Amz-Signature=00'), 'a=1&a=~&acl=&b=2')
  assert.is(canonicalQuery('p=a+b'), 'p=a%20b')
  assert.is(canonicalQuery('p=%'), null)
})

test.run()

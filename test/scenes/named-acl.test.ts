// timeout: 200s, test 150s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { tellNamedAcl } from './named-acl.ts'

const test = suite('one ACL over everything that came by drive')

test('one PUT lets a reader in everywhere, another puts him out, and a store that lies gets no key', async () => {
  const scene = await tellNamedAcl(120, () => undefined)
  assert.equal(scene.misses, [])
})

test.run()

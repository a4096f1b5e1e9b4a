import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Caller, type CannedAcl, mayDo, parseCannedAcl, type Right } from '../../access/canned-acl.ts'

const test = suite('canned ACL')
const owner: Caller = { kind: 'known', id: 'a' }
const other: Caller = { kind: 'known', id: 'b' }
const nobody: Caller = { kind: 'anonymous' }
const rights: Right[] = ['R', 'W', 'RA', 'WA']

const table: [CannedAcl, Caller, string][] = [
  ['private', owner, 'R W RA WA'],
  ['private', other, ''],
  ['private', nobody, ''],
  ['public-read', owner, 'R W RA WA'],
  ['public-read', other, 'R'],
  ['public-read', nobody, 'R'],
]
for (const [acl, who, allowed] of table) {
  test(`${acl} gives ${who.kind === 'known' ? who.id : 'anonymous'} "${allowed}" on what a owns`, () => {
    assert.is(rights.filter(right => mayDo(acl, 'a', who, right)).join(' '), allowed)
  })
}

test('only the two names are canned ACLs', () => {
  assert.is(parseCannedAcl('private'), 'private')
  assert.is(parseCannedAcl('public-read'), 'public-read')
  for (const name of ['', 'Private', 'public-read-write', 'toString']) assert.is(parseCannedAcl(name), null)
})

test.run()

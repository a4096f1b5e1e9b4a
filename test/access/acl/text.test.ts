import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type AclEntry, ENTRIES_MAX, makeAcl } from '../../../access/acl/acl.ts'
import { encodeBoundAcl, parseBoundAcl } from '../../../access/acl/bound.ts'
import { encodeAcl, parseAcl } from '../../../access/acl/text.ts'
import { faultOf } from './faults.ts'

const test = suite('ACL text')

const id = fc.stringMatching(/^[0-9a-f]{1,16}$/)
const scope = fc.oneof(
  id.map(each => ({ kind: 'user', id: each }) as const),
  id.map(each => ({ kind: 'group', id: each }) as const),
  fc.constantFrom('x.org', 'a-b.example').map(domain => ({ kind: 'domain', domain }) as const),
  fc.constantFrom({ kind: 'all' } as const, { kind: 'authenticated' } as const, { kind: 'bucket-owner' } as const),
)
const entry: fc.Arbitrary<AclEntry> = fc
  .record({
    scope,
    rights: fc.integer({ min: 1, max: 31 }),
    name: fc.option(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 })),
  })
  .filter(({ name }) => name === null || name.isWellFormed())
  .map(({ name, ...rest }) => ({ ...rest, ...(name !== null && { name }) }))

test('any ACL reads back as it was, and as no other', () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: ENTRIES_MAX }), fc.boolean(), (entries, specificOverrides) => {
      const acl = makeAcl(entries, { specificOverrides })
      assert.equal(parseAcl(encodeAcl(acl)), acl)
    }),
    { numRuns: 500 },
  )
})

test('texts are as the grammar says', () => {
  const acl = makeAcl(
    [
      { scope: { kind: 'user', id: '5f' }, rights: 16, name: 'Anna B' },
      { scope: { kind: 'all' }, rights: 1 },
      { scope: { kind: 'group', id: '9f' }, rights: 13 },
      { scope: { kind: 'domain', domain: 'x.org' }, rights: 1 },
    ],
    { specificOverrides: true },
  )
  assert.is(encodeAcl(acl), 'specific-overrides all=R domain:x.org=R group:9f=R+RA+WA user:5f=FULL;name=Anna%20B')
})

test('canned names of older rows are read', () => {
  assert.equal(parseAcl('private'), makeAcl([]))
  assert.is(encodeAcl(parseAcl('public-read')), 'all=R')
})

for (const text of [
  ' ',
  'all',
  'all=',
  'all=X',
  'all=R ',
  'all=R  user:a=R',
  'all=R all=R',
  'all=R+R',
  'all=W+R',
  'user:a=R all=R',
  'user:=R',
  'user=R',
  'all:x=R',
  'deny:a=R',
  'user:a=R;name=',
  'user:a=R;name=%zz',
  'user:a=R;name=%ff',
  'user:a=R;name=a b',
  'all=R specific-overrides',
  'PRIVATE',
  Array.from({ length: ENTRIES_MAX + 1 }, (_, at) => `user:${String(at).padStart(3, '0')}=R`).join(' '),
])
  test(`${JSON.stringify(text.slice(0, 40))} is refused`, () =>
    assert.is(
      faultOf(() => parseAcl(text)),
      'malformed-acl',
    ))

for (const [text, bound] of [
  ['reference 0123456789abcdef', { kind: 'reference', id: '0123456789abcdef', generation: null }],
  ['reference 0123456789abcdef#7', { kind: 'reference', id: '0123456789abcdef', generation: 7 }],
  ['all=R', { kind: 'own', acl: parseAcl('all=R') }],
  ['', { kind: 'own', acl: parseAcl('') }],
] as const)
  test(`${JSON.stringify(text)} is bound as it says, and written so again`, () => {
    assert.equal(parseBoundAcl(text), bound)
    assert.is(encodeBoundAcl(bound), text)
  })

for (const text of [
  'reference ',
  'reference 0123456789ABCDEF',
  'reference 0123456789abcde',
  'reference 0123456789abcdef#0',
  'reference 0123456789abcdef#',
  'reference 0123456789abcdef all=R',
])
  test(`${JSON.stringify(text)} is no reference`, () =>
    assert.is(
      faultOf(() => parseBoundAcl(text)),
      'malformed-acl',
    ))

test.run()

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type AclEntry,
  ENTRIES_MAX,
  effective,
  FULL,
  makeAcl,
  R,
  RA,
  scopeKey,
  W,
  WA,
} from '../../../access/acl/acl.ts'
import { type CANNED, expandCanned, parseCanned } from '../../../access/acl/canned.ts'
import { type Directory, resolveGrants } from '../../../access/acl/grantees.ts'
import {
  isExactInRoles,
  permissionsOf,
  rightsOfPermission,
  rightsOfRole,
  roleOfRights,
} from '../../../access/acl/views.ts'
import { faultOf } from './faults.ts'

const test = suite('ACL')
const user = (id: string, rights: number): AclEntry => ({ scope: { kind: 'user', id }, rights })

test('entries of one scope become one with the rights of all, whatever their order', () => {
  const one = makeAcl([user('a', R), { scope: { kind: 'all' }, rights: R }, user('a', WA)])
  const two = makeAcl([{ scope: { kind: 'all' }, rights: R }, user('a', WA | R)])
  assert.equal(one, two)
  assert.equal(
    one.entries.map(({ scope, rights }) => [scopeKey(scope), rights]),
    [
      ['all', R],
      ['user:a', R | WA],
    ],
  )
})

for (const [count, fault] of [
  [0, null],
  [1, null],
  [ENTRIES_MAX - 1, null],
  [ENTRIES_MAX, null],
  [ENTRIES_MAX + 1, 'malformed-acl'],
] as const)
  test(`${count} entries: ${fault ?? 'an ACL'}`, () => {
    const entries = Array.from({ length: count }, (_, at) => user(`u${at}`, R))
    assert.is(
      faultOf(() => makeAcl(entries)),
      fault,
    )
    // the same hundred twice is a hundred
    assert.is(
      faultOf(() => makeAcl([...entries, ...entries])),
      fault,
    )
  })

test('an entry gives something, and nothing that there is not', () => {
  for (const rights of [0, -1, 32, 1.5, Number.NaN])
    assert.is(
      faultOf(() => makeAcl([user('a', rights)])),
      'malformed-acl',
    )
})

test('Google roles are bits: WRITE includes READ on a bucket and is none on an object', () => {
  assert.is(rightsOfRole('READ', 'bucket'), R)
  assert.is(rightsOfRole('WRITE', 'bucket'), R | W)
  assert.is(rightsOfRole('WRITE', 'object'), null)
  assert.is(rightsOfRole('FULL_CONTROL', 'object'), FULL)
})

for (const [on, rights, role, exact] of [
  ['bucket', R, 'READ', true],
  ['bucket', R | W, 'WRITE', true],
  ['bucket', FULL, 'FULL_CONTROL', true],
  ['bucket', R | W | RA | WA, 'FULL_CONTROL', true],
  ['bucket', W, null, false],
  ['bucket', RA, null, false],
  ['bucket', R | RA, 'READ', false],
  ['bucket', R | W | RA, 'WRITE', false],
  ['object', R, 'READ', true],
  ['object', R | W, 'READ', true],
  ['object', W, null, true],
  ['object', FULL, 'FULL_CONTROL', true],
  ['object', R | RA | WA, 'FULL_CONTROL', true],
  ['object', R | WA, 'READ', false],
  ['object', RA | WA, null, false],
] as const)
  test(`bits ${rights} on an ${on} are shown as ${role}, ${exact ? 'exactly' : 'which is less'}`, () => {
    assert.equal(roleOfRights(rights, on), { role, exact })
    if (role !== null) {
      const shown = effective(rightsOfRole(role, on) ?? 0) & (on === 'object' ? ~W : ~0)
      assert.is(shown & ~effective(rights), 0, 'never widened')
    }
    assert.is(isExactInRoles(makeAcl([user('a', rights)]), on), exact)
  })

test('Amazon permissions are single bits, and FULL_CONTROL reads back as the one grant that it was', () => {
  assert.equal(permissionsOf(R | W | RA | WA | FULL), ['READ', 'WRITE', 'READ_ACP', 'WRITE_ACP', 'FULL_CONTROL'])
  assert.equal(permissionsOf(FULL), ['FULL_CONTROL'])
  assert.equal(permissionsOf(R | W | RA | WA), ['READ', 'WRITE', 'READ_ACP', 'WRITE_ACP'])
  for (const name of permissionsOf(31)) assert.equal(permissionsOf(rightsOfPermission(name) ?? 0), [name])
  assert.is(rightsOfPermission('read'), null)
  assert.is(effective(FULL), R | W | RA | WA)
})

for (const [name, on, dialect, fault] of [
  ['private', 'bucket', 's3', null],
  ['PUBLIC-READ', 'object', 'google', null],
  ['public-read-write', 'bucket', 'google', null],
  ['public-read-write', 'object', 's3', null],
  ['public-read-write', 'object', 'google', 'malformed-acl'],
  ['public-read-write', 'default-object', 'storage', 'malformed-acl'],
  ['bucket-owner-read', 'object', 's3', null],
  ['bucket-owner-read', 'default-object', 'google', null],
  ['bucket-owner-read', 'bucket', 's3', 'malformed-acl'],
  ['bucket-owner-full-control', 'bucket', 'google', 'malformed-acl'],
  ['aws-exec-read', 'object', 's3', 'malformed-acl'],
  ['', 'object', 's3', 'malformed-acl'],
] as const)
  test(`${JSON.stringify(name)} of dialect ${dialect} on a ${on}: ${fault ?? 'accepted'}`, () =>
    assert.is(
      faultOf(() => parseCanned(name, dialect, on)),
      fault,
    ))

const canned = (name: (typeof CANNED)[number], owner: string | null, bucketOwner: string | null) =>
  expandCanned(name, owner, bucketOwner)
    .entries.map(({ scope, rights }) => `${scopeKey(scope)}=${rights}`)
    .join(' ')
for (const [name, expected] of [
  ['private', 'user:o=16'],
  ['public-read', 'all=1 user:o=16'],
  ['public-read-write', 'all=3 user:o=16'],
  ['authenticated-read', 'authenticated=1 user:o=16'],
  ['bucket-owner-read', 'user:b=1 user:o=16'],
  ['bucket-owner-full-control', 'user:b=16 user:o=16'],
] as const)
  test(`${name} stands for ${expected}`, () => {
    assert.is(canned(name, 'o', 'b'), expected)
    // nobody known gets no entry
    assert.is(canned(name, null, 'b'), expected.replace(/ ?user:o=16/, ''))
    if (name.startsWith('bucket-owner')) assert.is(canned(name, 'b', 'b'), 'user:b=16', 'who owns both has one entry')
  })

const directory: Directory = {
  user: async id => ['a1', 'b2'].includes(id),
  group: async id => id === '9f',
  usersByEmail: async email => ({ 'a@x.org': ['a1'], 'two@x.org': ['a1', 'b2'] })[email] ?? [],
  groupsByEmail: async email => (email === 'g@x.org' ? ['9f'] : []),
}
for (const [grantee, expected] of [
  [{ by: 'user-id', id: 'a1' }, 'user:a1'],
  [{ by: 'user-id', id: 'zz' }, 'unknown-grantee'],
  [{ by: 'user-email', email: 'a@x.org' }, 'user:a1'],
  [{ by: 'user-email', email: 'no@x.org' }, 'unknown-email'],
  [{ by: 'user-email', email: 'two@x.org' }, 'ambiguous-email'],
  [{ by: 'group-id', id: '9f' }, 'group:9f'],
  [{ by: 'group-id', id: 'a1' }, 'unknown-grantee'],
  [{ by: 'group-email', email: 'g@x.org' }, 'group:9f'],
  [{ by: 'group-email', email: 'a@x.org' }, 'unknown-email'],
  [{ by: 'domain', domain: 'Example.COM' }, 'domain:example.com'],
  [{ by: 'domain', domain: 'com' }, 'malformed-acl'],
  [{ by: 'domain', domain: 'a..b' }, 'malformed-acl'],
  [{ by: 'domain', domain: `${'a'.repeat(64)}.org` }, 'malformed-acl'],
  [{ by: 'domain', domain: '@x.org' }, 'malformed-acl'],
  [{ by: 'authenticated' }, 'authenticated'],
  [{ by: 'all' }, 'all'],
  [{ by: 'bucket-owner' }, 'bucket-owner'],
] as const)
  test(`${JSON.stringify(grantee)} is ${expected}`, async () => {
    const resolved = await resolveGrants([{ grantee, rights: R }], directory).then(
      acl => acl.entries.map(({ scope }) => scopeKey(scope)).join(),
      (error: unknown) =>
        faultOf(() => {
          throw error
        }),
    )
    assert.is(resolved, expected)
  })

test.run()

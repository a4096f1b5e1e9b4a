import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type AclEntry, makeAcl, R } from '../../../access/acl/acl.ts'
import type { Grant } from '../../../access/acl/ask.ts'
import { ACL_DOCUMENT, parseAclDocument } from '../../../access/acl/document.ts'
import { resolveGrants } from '../../../access/acl/grantees.ts'
import { googleAclDocument, s3AclDocument } from '../../../store/s3/acl-out.ts'
import { xmlDocument } from '../../../store/s3/xml-out.ts'
import { faultOf } from './faults.ts'

const test = suite('ACL documents')
const shown = (grants: readonly Grant[]) =>
  grants.map(({ grantee, rights }) => `${Object.values(grantee).join(' ')}=${rights}`).join(', ')

const policy = (inner: string, owner = '') =>
  `<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${owner}<AccessControlList>${inner}</AccessControlList></AccessControlPolicy>`
const grant = (type: string, inner: string, permission = 'READ') =>
  `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="${type}">${inner}</Grantee><Permission>${permission}</Permission></Grant>`
const list = (inner: string) => `<AccessControlList><Entries>${inner}</Entries></AccessControlList>`
const entry = (scope: string, permission = 'READ') => `<Entry>${scope}<Permission>${permission}</Permission></Entry>`
const one = '<Scope type="UserById"><ID>a1</ID></Scope>'

for (const [name, text, expected] of [
  ['an empty policy', policy(''), ''],
  ['a user', policy(grant('CanonicalUser', '<ID> a1 </ID><DisplayName>A</DisplayName>')), 'user-id a1=1'],
  [
    'an e-mail',
    policy(grant('AmazonCustomerByEmail', '<EmailAddress>a@x.org</EmailAddress>', 'WRITE_ACP')),
    'user-email a@x.org=8',
  ],
  [
    'a group',
    policy(grant('Group', '<URI>http://acs.amazonaws.com/groups/global/AuthenticatedUsers</URI>')),
    'authenticated=1',
  ],
  ['WRITE on an object', policy(grant('CanonicalUser', '<ID>a1</ID>', 'WRITE')), 'user-id a1=2'],
  ['an empty list', list(''), ''],
  ['no entries at all', '<AccessControlList></AccessControlList>', ''],
  [
    'names without case',
    `<ACCESSControlList><EntrIes>${entry('<scope type="userbyID"><id>A1</id></scope>', '\n full_control ')}</EntrIes></ACCESSControlList>`,
    'user-id a1=16',
  ],
  ['an id with blanks in it', list(entry('<Scope type="UserById"><ID>\n a1\n b2 </ID></Scope>')), 'user-id a1b2=1'],
  ['a permission before its scope', list(`<Entry><Permission>READ</Permission>${one}</Entry>`), 'user-id a1=1'],
  [
    'an owner, not looked at',
    `<AccessControlList><Owner><ID>zz</ID></Owner><Entries>${entry(one)}</Entries></AccessControlList>`,
    'user-id a1=1',
  ],
  [
    'every scope',
    list(
      [
        one,
        '<Scope type="UserByEmail"><EmailAddress>a@x.org</EmailAddress><Name>A</Name></Scope>',
        '<Scope type="GroupById"><ID>9f</ID></Scope>',
        '<Scope type="GroupByEmail"><EmailAddress>g@x.org</EmailAddress></Scope>',
        '<Scope type="GroupByDomain"><Domain>x.org</Domain></Scope>',
        '<Scope type="AllAuthenticatedUsers"/>',
        '<Scope type="AllUsers"/>',
        '<Scope type="BucketOwner"/>',
      ]
        .map(scope => entry(scope))
        .join(''),
    ),
    'user-id a1=1, user-email a@x.org=1, group-id 9f=1, group-email g@x.org=1, domain x.org=1, authenticated=1, all=1, bucket-owner=1',
  ],
] as const)
  test(`document, ${name}: read`, () =>
    assert.is(shown(parseAclDocument(Buffer.from(text), 'object').grants), expected))

for (const [name, text, fault] of [
  ['nothing', '', 'malformed-acl'],
  ['no XML', 'public-read', 'malformed-acl'],
  ['cut off', policy('').slice(0, -5), 'malformed-acl'],
  ['another root', '<Tagging/>', 'malformed-acl'],
  ['a doctype', `<!DOCTYPE x>${policy('')}`, 'malformed-acl'],
  ['a bomb of entities', `<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]>${policy('&c;')}`, 'malformed-acl'],
  ['10 MB', policy(' '.repeat(10 << 20)), 'malformed-acl'],
  ['one byte too many', policy(' '.repeat(ACL_DOCUMENT.bytes + 1 - policy('').length)), 'malformed-acl'],
  ['more elements than are read', policy('<Grant/>'.repeat(5_001)), 'malformed-acl'],
  ['no list', '<AccessControlPolicy></AccessControlPolicy>', 'malformed-acl'],
  ['two lists', '<AccessControlPolicy><AccessControlList/><AccessControlList/></AccessControlPolicy>', 'malformed-acl'],
  ['an element of somebody else', policy('<Deny/>'), 'malformed-acl'],
  [
    'a grantee without type',
    policy('<Grant><Grantee><ID>a</ID></Grantee><Permission>READ</Permission></Grant>'),
    'malformed-acl',
  ],
  ['an unknown type', policy(grant('Everyone', '')), 'malformed-acl'],
  ['an unknown permission', policy(grant('CanonicalUser', '<ID>a</ID>', 'read')), 'malformed-acl'],
  [
    'two permissions',
    policy(grant('CanonicalUser', '<ID>a</ID>').replace('</Grant>', '<Permission>WRITE</Permission></Grant>')),
    'malformed-acl',
  ],
  ['an empty id', policy(grant('CanonicalUser', '<ID> </ID>')), 'malformed-acl'],
  ['an id of 1,025 characters', policy(grant('CanonicalUser', `<ID>${'a'.repeat(1025)}</ID>`)), 'malformed-acl'],
  ['an owner without id', policy('', '<Owner></Owner>'), 'malformed-acl'],
  ['a group that there is not', policy(grant('Group', '<URI>x</URI>')), 'unknown-grantee'],
  ['WRITE on an object in roles', list(entry(one, 'WRITE')), 'malformed-acl'],
  ['OWNER in roles', list(entry(one, 'OWNER')), 'malformed-acl'],
  ['an id that is not hex', list(entry('<Scope type="UserById"><ID>anna</ID></Scope>')), 'malformed-acl'],
  ['a scope type of a prototype', list(entry('<Scope type="__proto__"/>')), 'malformed-acl'],
  ['a scope without type', list(entry('<Scope/>')), 'malformed-acl'],
  ['a child that is not of the scope', list(entry('<Scope type="AllUsers"><ID>a1</ID></Scope>')), 'malformed-acl'],
  ['two scopes', list(entry(one + one)), 'malformed-acl'],
  ['a scope of nothing', list(entry('<Scope type="UserById"><Name>A</Name></Scope>')), 'malformed-acl'],
] as const)
  test(`document, ${name}: ${fault}`, () =>
    assert.is(
      faultOf(() => parseAclDocument(Buffer.from(text), 'object')),
      fault,
    ))

test('a document of exactly as many bytes as are read is read', () => {
  const text = policy(' '.repeat(ACL_DOCUMENT.bytes - policy('').length))
  assert.is(Buffer.byteLength(text), ACL_DOCUMENT.bytes)
  assert.equal(parseAclDocument(Buffer.from(text), 'bucket').grants, [])
})

const everybody = {
  user: async () => true,
  group: async () => true,
  usersByEmail: async () => [],
  groupsByEmail: async () => [],
}
const everyScope: AclEntry[] = [
  { scope: { kind: 'all' }, rights: R },
  { scope: { kind: 'authenticated' }, rights: R },
  { scope: { kind: 'domain', domain: 'x.org' }, rights: R },
  { scope: { kind: 'group', id: '9f' }, rights: R },
  { scope: { kind: 'bucket-owner' }, rights: R },
]

test("what Amazon's document shows reads back as the same ACL, every scope and every right", async () => {
  const acl = makeAcl([
    ...everyScope,
    ...[1, 2, 4, 8, 16, 31].map((rights, at) => ({ scope: { kind: 'user', id: `a${at}` } as const, rights })),
  ])
  const names = new Map([['a1', 'Anna & Co <x>']])
  const document = xmlDocument(s3AclDocument({ on: 'object', owner: 'a1', acl, names }))
  assert.match(document, 'Anna &amp; Co &lt;x&gt;')
  const ask = parseAclDocument(Buffer.from(document), 'object')
  assert.is(ask.owner, 'a1')
  assert.equal(await resolveGrants(ask.grants, everybody), acl)
})

test("what Google's document shows reads back as the same ACL where roles can say it, the owner added", async () => {
  const others: AclEntry[] = [...everyScope, { scope: { kind: 'user', id: 'b2' }, rights: 16, name: 'Bert' }]
  const { document, exact } = googleAclDocument({ on: 'object', owner: 'a1', acl: makeAcl(others), names: new Map() })
  assert.ok(exact)
  const ask = parseAclDocument(Buffer.from(xmlDocument(document)), 'object')
  assert.equal(
    await resolveGrants(ask.grants, everybody),
    makeAcl([...others, { scope: { kind: 'user', id: 'a1' }, rights: 16 }]),
  )
})

test("Google's document never shows more than there is, and says when it shows less", () => {
  const acl = makeAcl([
    { scope: { kind: 'user', id: 'b2' }, rights: 4 },
    { scope: { kind: 'user', id: 'c3' }, rights: 5 },
    { scope: { kind: 'user', id: 'a1' }, rights: 1 },
  ])
  const { document, exact } = googleAclDocument({ on: 'bucket', owner: 'a1', acl, names: new Map() })
  assert.not(exact)
  assert.is(
    document.xml,
    '<AccessControlList><Owner><ID>a1</ID></Owner><Entries>' +
      '<Entry><Scope type="UserById"><ID>a1</ID></Scope><Permission>FULL_CONTROL</Permission></Entry>' +
      '<Entry><Scope type="UserById"><ID>c3</ID></Scope><Permission>READ</Permission></Entry>' +
      '</Entries></AccessControlList>',
  )
})

test.run()

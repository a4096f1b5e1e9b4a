import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseAclName } from '../../../access/acl/acl-name.ts'
import type { Grant } from '../../../access/acl/ask.ts'
import { askOfForm, askOfHeaders } from '../../../access/acl/headers.ts'
import { faultOf } from './faults.ts'

const test = suite('ACL headers')
const shown = (grants: readonly Grant[]) =>
  grants.map(({ grantee, rights }) => `${Object.values(grantee).join(' ')}=${rights}`).join(', ')
const wire = (text: string) => Buffer.from(text, 'utf8').toString('latin1')

for (const [headers, expected] of [
  [[], { kind: 'none' }],
  [[['Host', 'h']], { kind: 'none' }],
  [[['X-Amz-Acl', ' public-read ']], { kind: 'canned', dialect: 's3', name: 'public-read' }],
  [[['x-goog-acl', 'private']], { kind: 'canned', dialect: 'google', name: 'private' }],
  [[['x-storage-acl', 'private']], { kind: 'canned', dialect: 'storage', name: 'private' }],
  [
    [['x-storage-acl', 'acls/team.xml']],
    { kind: 'named', name: { bucket: 'acls', key: 'team.xml', generation: null }, mode: 'copy' },
  ],
  [
    [
      ['x-storage-custom-acl', wire('acls/gr%C3%BCn%23/1#17')],
      ['x-storage-acl-mode', 'Reference'],
    ],
    { kind: 'named', name: { bucket: 'acls', key: 'grün#/1', generation: '17' }, mode: 'reference' },
  ],
] as const)
  test(`headers ${JSON.stringify(headers)} ask for ${JSON.stringify(expected)}`, () =>
    assert.equal(askOfHeaders(headers), expected))

test('grant headers are grants, each grantee in any of three ways', () => {
  const ask = askOfHeaders([
    ['x-amz-grant-read', 'id="a1", uri="http://acs.amazonaws.com/groups/global/AllUsers"'],
    ['x-amz-grant-full-control', 'emailAddress=a@x.org'],
    ['x-amz-grant-write-acp', 'uri="urn:x-storage:group:9f",uri="urn:x-storage:domain:x.org"'],
  ])
  assert.is(ask.kind, 'grants')
  if (ask.kind === 'grants')
    assert.is(shown(ask.grants), 'user-id a1=1, all=1, group-id 9f=8, domain x.org=8, user-email a@x.org=16')
})

for (const [name, headers, fault] of [
  [
    'canned and grants',
    [
      ['x-amz-acl', 'private'],
      ['x-amz-grant-read', 'id=a'],
    ],
    'acl-sources',
  ],
  [
    'two dialects',
    [
      ['x-amz-acl', 'private'],
      ['x-goog-acl', 'private'],
    ],
    'acl-sources',
  ],
  [
    'x-storage-acl and x-storage-custom-acl',
    [
      ['x-storage-acl', 'bb/k'],
      ['x-storage-custom-acl', 'bb/k'],
    ],
    'acl-sources',
  ],
  [
    'the same header twice',
    [
      ['x-amz-acl', 'private'],
      ['X-Amz-Acl', 'public-read'],
    ],
    'acl-sources',
  ],
  ['a mode without a name', [['x-storage-acl-mode', 'copy']], 'acl-sources'],
  [
    'a mode with a canned ACL',
    [
      ['x-storage-acl', 'private'],
      ['x-storage-acl-mode', 'copy'],
    ],
    'acl-sources',
  ],
  [
    'an unknown mode',
    [
      ['x-storage-acl', 'bb/k'],
      ['x-storage-acl-mode', 'link'],
    ],
    'malformed-acl',
  ],
  ['a custom ACL without a bucket', [['x-storage-custom-acl', 'private']], 'malformed-acl'],
  ['an unknown grantee type', [['x-amz-grant-read', 'name="a"']], 'malformed-acl'],
  ['an empty grant', [['x-amz-grant-read', '']], 'malformed-acl'],
  ['a broken quote', [['x-amz-grant-read', 'id="a']], 'malformed-acl'],
  [
    'an unknown group',
    [['x-amz-grant-read', 'uri="http://acs.amazonaws.com/groups/s3/LogDelivery"']],
    'unknown-grantee',
  ],
] as const)
  test(`headers, ${name}: ${fault}`, () =>
    assert.is(
      faultOf(() => askOfHeaders(headers)),
      fault,
    ))

test('form fields ask as headers do, and `acl` is a canned one', () => {
  assert.equal(askOfForm(new Map([['acl', 'public-read']])), { kind: 'canned', dialect: 's3', name: 'public-read' })
  assert.equal(askOfForm(new Map([['x-storage-acl', 'bb/gr%C3%BCn']])), {
    kind: 'named',
    name: { bucket: 'bb', key: 'grün', generation: null },
    mode: 'copy',
  })
  assert.is(
    faultOf(() =>
      askOfForm(
        new Map([
          ['acl', 'private'],
          ['x-amz-acl', 'private'],
        ]),
      ),
    ),
    'acl-sources',
  )
  assert.equal(askOfForm(new Map([['key', 'k']])), { kind: 'none' })
})

for (const [text, fault] of [
  ['b/k', 'malformed-acl'],
  ['bb/k', null],
  ['/bb/k', null],
  ['bb/', 'malformed-acl'],
  ['bb', 'malformed-acl'],
  ['', 'malformed-acl'],
  ['bb/%', 'malformed-acl'],
  ['bb/%ff', 'malformed-acl'],
  ['bb/k#', 'malformed-acl'],
  ['bb/k#x', 'malformed-acl'],
  ['bb/k#1', null],
  ['bb/k%231', null],
  [`bb/${'k'.repeat(1024)}`, null],
  [`bb/${'k'.repeat(1025)}`, 'malformed-acl'],
] as const)
  test(`the name ${text.length > 20 ? `of ${text.length} characters` : JSON.stringify(text)}: ${fault ?? 'a name'}`, () =>
    assert.is(
      faultOf(() => parseAclName(text)),
      fault,
    ))

test.run()

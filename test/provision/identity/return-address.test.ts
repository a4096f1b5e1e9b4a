import { createHmac } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { addressAt, returnAddressesOf } from '../../../provision/keystore/login/return-address.ts'

const test = suite('return addresses')
const clock = { now: 1_800_000_000_000 }
let list = ['https://store.example', 'http://127.0.0.1:9200']
const made = (key: string) =>
  returnAddressesOf({
    origins: {
      list: async () => list,
      ofHost: async host => list.find(each => new URL(each).host === host) ?? null,
    },
    state: { mac: bytes => createHmac('sha256', key).update(bytes).digest() },
    clock: () => clock.now,
  })
const addresses = made('ours')

for (const [host, path] of [
  ['store.example', '/photos/a%20b.jpg?versionId=null'],
  ['store.example', '/'],
  ['127.0.0.1:9200', '/b/k'],
] as const)
  test(`${path} at ${host} comes back as it was`, async () => {
    const signed = (await addresses.sign(host, path)) ?? ''
    assert.is(await addresses.open(signed), `${host === 'store.example' ? 'https' : 'http'}://${host}${path}`)
  })

// what some browser or some library reads as another host
const tricks = [
  ...[
    '//evil.example',
    '///evil.example',
    '////evil.example/..',
    '/\\evil.example',
    '\\\\evil.example',
    '/\\/evil.example',
  ],
  ...[
    'https:evil.example',
    'https:/evil.example',
    'https://evil.example',
    'http:///evil.example',
    'javascript:alert(1)',
  ],
  ...['data:text/html,x', '@evil.example/', '/@evil.example', ':80@evil.example', '.evil.example', 'evil.example', ''],
  ...[
    '/%2f%2fevil.example',
    '/%5cevil.example',
    '%2f%2fevil.example',
    '/.//evil.example',
    '/..//evil.example',
    '/x/..//evil.example',
  ],
  ...[
    '/\t/evil.example',
    '/\n/evil.example',
    '/\r\nlocation: https://evil.example',
    '/ /evil.example',
    '/\u00a0/evil.example',
  ],
  ...[
    '/\u2028evil.example',
    '/\uff0fevil.example',
    '/#@evil.example',
    '/?next=//evil.example',
    '/.sealift/login?back=//evil.example',
  ],
]
for (const trick of tricks)
  test(`open redirect: ${JSON.stringify(trick)} leads to our own host or nowhere`, async () => {
    for (const origin of list) {
      const address = addressAt(origin, trick)
      if (address !== null) {
        const url = new URL(address)
        assert.is(url.origin, origin)
        assert.is(url.username, '')
        assert.ok(address.startsWith(`${origin}/`))
      }
      const signed = await addresses.sign(new URL(origin).host, trick)
      const opened = signed === null ? null : await addresses.open(signed)
      assert.is(opened, address)
    }
    // handed in as if it were signed
    for (const text of [
      trick,
      `${clock.now + 1000}.${'A'.repeat(43)}.${trick}`,
      `${clock.now + 1000}.${'A'.repeat(43)}.https://evil.example${trick}`,
    ])
      assert.is(await addresses.open(text), null)
  })

test('an address is opened as it was signed, by whom it was signed, and in its time', async () => {
  const signed = (await addresses.sign('store.example', '/b/k')) ?? ''
  assert.is(await addresses.open(signed), 'https://store.example/b/k')
  assert.is(await made('another').open(signed), null)
  const [until = '', mac = '', ...rest] = signed.split('.')
  const address = rest.join('.')
  for (const changed of [
    `${Number(until) + 1}.${mac}.${address}`,
    `${until}.${mac}.${address}x`,
    `${until}.${mac}.${address.replace('store', 'evil')}`,
    `${until}.${mac.slice(0, -1)}${mac.endsWith('A') ? 'E' : 'A'}.${address}`,
    `${until}.${mac}`,
    `.${mac}.${address}`,
  ])
    assert.is(await addresses.open(changed), null, changed)
  clock.now += 60 * 60_000
  assert.is(await addresses.open(signed), 'https://store.example/b/k')
  clock.now += 1
  assert.is(await addresses.open(signed), null)
})

test('a host that is taken off the list is returned to no more, and one that is not on it never', async () => {
  const signed = (await addresses.sign('store.example', '/b/k')) ?? ''
  const before = list
  list = list.slice(1)
  assert.is(await addresses.open(signed), null)
  list = before
  for (const host of ['evil.example', 'store.example.evil.example', 'store.example:81', 'x@store.example', ''])
    assert.is(await addresses.sign(host, '/b/k'), null, host)
})

test.run()

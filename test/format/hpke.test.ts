import { createPrivateKey, diffieHellman, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { FormatError, type FormatFault } from '../../format/fault.ts'
import {
  type HpkeAead,
  hpkeOpen,
  hpkeSeal,
  hpkeSealWith,
  keySchedule,
  p256Point,
  p256PublicKey,
} from '../../format/hpke.ts'
import { keyId, type PublicKey, sealTo, unbindSecret, WRAP_SUITES, wrapSuite } from '../../format/wrap-suite.ts'

const test = suite('hpke and wrap suites')

type Vector = Record<'info' | 'pkEm' | 'skEm' | 'pkRm' | 'skRm' | 'key' | 'nonce' | 'pt' | 'aad' | 'ct', string> & {
  aead: HpkeAead
}

const INFO = Buffer.from('info')
const AAD = Buffer.from('aad')

for (const name of ['rfc9180-a3-1', 'p256-aes256gcm']) {
  const vector: Vector = JSON.parse(readFileSync(new URL(`../vectors/hpke/${name}.json`, import.meta.url), 'utf8'))
  const hex = (field: Exclude<keyof Vector, 'aead'>) => Buffer.from(vector[field], 'hex')

  test(`${name}: sealing with the vector's ephemeral key gives the vector's bytes`, () => {
    const ephemeral = { privateKey: privateKey(hex('skEm'), hex('pkEm')), publicKey: p256PublicKey(hex('pkEm')) }
    const sealed = hpkeSealWith(ephemeral, hex('pkRm'), hex('info'), hex('aad'), hex('pt'), vector.aead)
    assert.equal(sealed, { encapsulated: hex('pkEm'), ciphertext: hex('ct') })
  })

  test(`${name}: the key schedule gives the vector's key and nonce`, () => {
    const shared = agreement(privateKey(hex('skRm'), hex('pkRm')))(hex('pkEm'))
    const { key, nonce } = keySchedule(shared, hex('pkEm'), hex('pkRm'), hex('info'), vector.aead)
    assert.equal([key.export(), nonce], [hex('key'), hex('nonce')])
  })

  test(`${name}: the recipient opens it`, () => {
    const agree = agreement(privateKey(hex('skRm'), hex('pkRm')))
    const message = { encapsulated: hex('pkEm'), ciphertext: hex('ct') }
    assert.equal(hpkeOpen(agree, hex('pkRm'), message, hex('info'), hex('aad'), vector.aead), hex('pt'))
  })
}

test('what another implementation sealed with AES-256-GCM opens', () => {
  const url = new URL('../vectors/hpke/pyca-p256-aes256gcm.json', import.meta.url)
  const vector: Record<string, string> = JSON.parse(readFileSync(url, 'utf8'))
  const hex = (field: string) => Buffer.from(vector[field] ?? '', 'hex')
  const message = { encapsulated: hex('enc'), ciphertext: hex('ct') }
  const agree = agreement(privateKey(hex('skRm'), hex('pkRm')))
  assert.is(hpkeOpen(agree, hex('pkRm'), message, hex('info'), hex('aad')).toString(), 'made elsewhere')
})

test('a message opens for plaintexts of every edge length, by SPKI and by point', () => {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = pair.publicKey.export({ format: 'der', type: 'spki' })
  for (const length of [0, 1, 15, 16, 17, 31, 32, 33]) {
    const plaintext = randomBytes(length)
    for (const recipient of [spki, p256Point(pair.publicKey)]) {
      const message = hpkeSeal(recipient, INFO, AAD, plaintext)
      assert.is(message.ciphertext.length, length + 16)
      assert.equal(hpkeOpen(agreement(pair.privateKey), recipient, message, INFO, AAD), plaintext)
    }
  }
})

test('every single flipped bit of a message is refused', () => {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const point = p256Point(pair.publicKey)
  const message = hpkeSeal(point, INFO, AAD, randomBytes(8))
  const open = (encapsulated: Buffer, ciphertext: Buffer) =>
    faultOf(() => hpkeOpen(agreement(pair.privateKey), point, { encapsulated, ciphertext }, INFO, AAD))
  for (let bit = 0; bit < message.ciphertext.length * 8; bit++)
    assert.is(open(message.encapsulated, flipped(message.ciphertext, bit)), 'tampered')
  // A point off the curve never reaches the key: that would be an invalid-curve attack on a token.
  for (let bit = 0; bit < 65 * 8; bit++)
    assert.is(open(flipped(message.encapsulated, bit), message.ciphertext), 'malformed')
})

test('another info, aad or recipient is refused', () => {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const point = p256Point(pair.publicKey)
  const message = hpkeSeal(point, INFO, AAD, randomBytes(32))
  const open = (private_: KeyObject, own: Buffer, info: Buffer, aad: Buffer) =>
    faultOf(() => hpkeOpen(agreement(private_), own, message, info, aad))
  assert.is(open(pair.privateKey, point, INFO, AAD), null)
  assert.is(open(pair.privateKey, point, AAD, INFO), 'tampered')
  assert.is(open(pair.privateKey, point, INFO, Buffer.alloc(0)), 'tampered')
  assert.is(open(other.privateKey, p256Point(other.publicKey), INFO, AAD), 'tampered')
})

test('an agreement that is all zero or not 32 bytes is refused', () => {
  const point = p256Point(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)
  const message = hpkeSeal(point, INFO, AAD, Buffer.alloc(32))
  for (const shared of [Buffer.alloc(32), Buffer.alloc(0), Buffer.alloc(31, 1), Buffer.alloc(33, 1)])
    assert.is(
      faultOf(() => hpkeOpen(() => Buffer.from(shared), point, message, INFO, AAD)),
      'malformed',
    )
})

test('a public key is an uncompressed point on P-256, alone or in its SPKI', () => {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
  const point = p256Point(key)
  const spki = key.export({ format: 'der', type: 'spki' })
  const compressed = Buffer.concat([Buffer.of(2 + ((point[64] ?? 0) & 1)), point.subarray(1, 33)])
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'der', type: 'spki' })
  const bad = [
    Buffer.alloc(0),
    Buffer.of(0),
    Buffer.alloc(65),
    compressed,
    point.subarray(1),
    Buffer.concat([point, Buffer.of(0)]),
    Buffer.concat([Buffer.of(6), point.subarray(1)]),
    flipped(point, 300),
    spki.subarray(1),
    Buffer.concat([spki, Buffer.of(0)]),
    p384,
  ]
  assert.is(
    faultOf(() => p256PublicKey(point)),
    null,
  )
  assert.is(
    faultOf(() => p256PublicKey(spki)),
    null,
  )
  for (const each of bad)
    assert.is(
      faultOf(() => p256PublicKey(each)),
      'malformed',
    )
})

test('0x0040 is reserved and everything unknown is unsupported', () => {
  for (const id of WRAP_SUITES) assert.is(wrapSuite(id), id)
  for (const id of [0, 0x000f, 0x0011, 0x0021, 0x0032, 0x0040, 0x1000, -1, 1.5])
    assert.is(
      faultOf(() => wrapSuite(id)),
      'unsupported',
    )
})

test('sealing refuses RSA below 3072 bits, a key of another kind, and a signing key', () => {
  const rsa = (modulusLength: number) =>
    generateKeyPairSync('rsa', { modulusLength }).publicKey.export({ format: 'der', type: 'spki' })
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'der', type: 'spki' })
  const seal = (suiteId: PublicKey['suite'], spki: Buffer, secret = Buffer.alloc(32)) =>
    faultOf(() => sealTo({ suite: suiteId, spki }, secret, { info: '', aad: Buffer.alloc(0) }))
  const strong = rsa(3072)
  assert.is(seal(0x0020, strong), null)
  assert.is(seal(0x0020, rsa(2048)), 'unsupported')
  assert.is(seal(0x0020, p256), 'malformed')
  assert.is(seal(0x0020, Buffer.from('nonsense')), 'malformed')
  assert.is(seal(0x0010, p256), null)
  assert.is(seal(0x0010, strong), 'malformed')
  assert.is(seal('ecdsa-p256', p256), 'unsupported')
  for (const length of [0, 31, 33]) assert.is(seal(0x0010, p256, Buffer.alloc(length)), 'malformed')
})

test('a bound secret comes out under its own context only', () => {
  const bound = Buffer.alloc(64)
  assert.is(
    faultOf(() => unbindSecret(bound, { info: 'a', aad: Buffer.of(1) })),
    'tampered',
  )
  assert.is(
    faultOf(() => unbindSecret(Buffer.alloc(63), { info: 'a', aad: Buffer.of(1) })),
    'tampered',
  )
})

test('a context above its bound is refused before anything is sealed', () => {
  const spki = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'der', type: 'spki' })
  const seal = (length: number) =>
    faultOf(() => sealTo({ suite: 0x0010, spki }, Buffer.alloc(32), { info: '', aad: Buffer.alloc(length) }))
  assert.is(seal(65_536), null)
  assert.is(seal(65_537), 'limit')
})

test('a key id is 16 bytes and differs between keys', () => {
  assert.is(keyId(Buffer.from('a')).toString('hex'), 'ca978112ca1bbdcafac231b39a23dc4d')
  assert.not.equal(keyId(Buffer.from('a')), keyId(Buffer.from('b')))
})

function privateKey(scalar: Buffer, point: Buffer): KeyObject {
  const url = (bytes: Buffer) => bytes.toString('base64url')
  const key = { kty: 'EC', crv: 'P-256', d: url(scalar), x: url(point.subarray(1, 33)), y: url(point.subarray(33)) }
  return createPrivateKey({ format: 'jwk', key })
}

function agreement(privateKey_: KeyObject): (point: Buffer) => Buffer {
  return point => diffieHellman({ privateKey: privateKey_, publicKey: p256PublicKey(point) })
}

function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return copy
}

function faultOf(doing: () => unknown): FormatFault | null {
  try {
    doing()
    return null
  } catch (error) {
    if (error instanceof FormatError) return error.fault
    throw error
  }
}

test.run()

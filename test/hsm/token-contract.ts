/** What every token must do, whatever it is made of. A suite that is not offered must be enrolled as absent and refused. */
import { createPublicKey, randomBytes, verify } from 'node:crypto'
import * as uvu from 'uvu'
import * as assert from 'uvu/assert'
import { type SealContext, type SealedSecret, sealTo, WRAP_SUITES, type WrapSuite } from '../../format/wrap-suite.ts'
import { holdsSymmetricKeys, type SymmetricToken, type Token, TokenError, type TokenFault } from '../../hsm/token.ts'

export type TokenFixture = { token: Token; remove(): Promise<void> }

const CONTEXT: SealContext = { info: 'contract', aad: Buffer.from('job 1, epoch 2') }
const OTHER: readonly SealContext[] = [
  { info: 'contract', aad: Buffer.from('job 1, epoch 3') },
  { info: 'contrac', aad: Buffer.from('tjob 1, epoch 2') },
  { info: 'contract', aad: Buffer.alloc(0) },
]

export function tokenContract(
  name: string,
  offered: readonly WrapSuite[],
  open: () => Promise<TokenFixture>,
): uvu.Test {
  const test = uvu.suite(`token contract: ${name}`)
  let fixture: TokenFixture
  const token = () => fixture.token
  const symmetric = (): SymmetricToken => {
    const found: Token = token()
    assert.ok(holdsSymmetricKeys(found), 'the token holds symmetric keys')
    return found as SymmetricToken
  }

  test.before(async () => {
    fixture = await open()
  })
  test.after(async () => {
    await fixture.remove()
  })

  test('the profile says passed for the suites that are offered and for no other', () => {
    const passed = token().profile.suites.filter(each => each.outcome === 'passed')
    assert.equal(
      passed.map(each => each.suite),
      offered,
      JSON.stringify(token().profile.suites),
    )
    assert.equal(
      token().profile.suites.map(each => each.suite),
      [...WRAP_SUITES],
    )
    for (const each of token().profile.suites) if (!offered.includes(each.suite)) assert.is(each.outcome, 'absent')
  })

  test('a signing key signs what verifies outside, and is found again by its label', async () => {
    const made = await token().makeSigningKey('identity')
    assert.is(made.suite, 'ecdsa-p256')
    const message = randomBytes(1000)
    const signature = await token().sign('identity', message)
    assert.is(signature.length, 64)
    const key = createPublicKey({ key: made.spki, format: 'der', type: 'spki' })
    assert.ok(verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature))
    assert.not.ok(verify('sha256', randomBytes(1000), { key, dsaEncoding: 'ieee-p1363' }, signature))
    const found = await token().publicKey('identity')
    assert.equal(found, made)
  })

  test('a label that is taken is not made again', async () => {
    assert.is(await faultOf(token().makeSigningKey('identity')), 'exists')
  })

  for (const id of [0x0010, 0x0020] as const) {
    if (offered.includes(id))
      test(`${hex(id)}: what is sealed in software opens in the token, once with the right context and key only`, async () => {
        const publicKey = await token().makeOpeningKey(`open ${id}`, id)
        assert.is(publicKey.suite, id)
        assert.equal(await token().publicKey(`open ${id}`), publicKey)
        const secret = randomBytes(32)
        const sealed = sealTo(publicKey, secret, CONTEXT)
        assert.equal(await token().open(`open ${id}`, sealed, CONTEXT), secret)
        await refusesAllElse(token(), `open ${id}`, sealed, secret)
        const fault = await faultOf(token().sign(`open ${id}`, secret))
        assert.ok(fault === 'device' || fault === 'unsupported', 'an opening key does not sign')
      })
    else
      test(`${hex(id)}: absent, so that no key is made for it`, async () => {
        assert.is(await faultOf(token().makeOpeningKey(`open ${id}`, id)), 'unsupported')
        assert.is(await token().publicKey(`open ${id}`), null)
      })
  }

  for (const id of [0x0030, 0x0031] as const) {
    if (!offered.includes(id)) continue
    test(`${hex(id)}: what the token seals it opens, once with the right context and key only`, async () => {
      await symmetric().makeSymmetricKey(`job ${id}`, id)
      const secret = randomBytes(32)
      const sealed = await symmetric().seal(`job ${id}`, id, secret, CONTEXT)
      assert.not.ok(sealed.ciphertext.includes(secret))
      assert.equal(await token().open(`job ${id}`, sealed, CONTEXT), secret)
      await refusesAllElse(token(), `job ${id}`, sealed, secret)
      const other = id === 0x0030 ? 0x0031 : 0x0030
      assert.not.equal(await faultOf(symmetric().seal(`job ${id}`, other, secret, CONTEXT)), null, 'one suite a key')
      assert.is(await faultOf(symmetric().makeSymmetricKey(`job ${id}`, id)), 'exists')
    })
  }
  if (!offered.includes(0x0030) && !offered.includes(0x0031))
    test('a token without symmetric suites says so', () => {
      assert.not.ok(holdsSymmetricKeys(token()))
    })

  test('a key that is not there is no-key for those that use it and null for who asks', async () => {
    assert.is(await faultOf(token().sign('nobody', Buffer.alloc(1))), 'no-key')
    const empty = { encapsulated: Buffer.alloc(0), ciphertext: Buffer.alloc(64) }
    for (const id of offered)
      assert.is(await faultOf(token().open('nobody', { suite: id, ...empty }, CONTEXT)), 'no-key')
    assert.is(await token().publicKey('nobody'), null)
    assert.is(await token().destroyKey('nobody'), false)
  })

  test('a destroyed key is gone, and its label free', async () => {
    const first = await token().makeSigningKey('short-lived')
    assert.is(await token().destroyKey('short-lived'), true)
    assert.is(await token().publicKey('short-lived'), null)
    assert.is(await faultOf(token().sign('short-lived', Buffer.alloc(1))), 'no-key')
    const second = await token().makeSigningKey('short-lived')
    assert.not.equal(first.spki, second.spki)
    assert.is(await token().destroyKey('short-lived'), true)
  })

  test('random gives the length that was asked for, within 1 to 1024', async () => {
    for (const length of [1, 2, 32, 1023, 1024]) assert.is((await token().random(length)).length, length)
    for (const length of [0, -1, 1.5, 1025]) assert.is(await faultOf(token().random(length)), 'configuration')
    assert.not.equal(await token().random(32), await token().random(32))
  })

  test('health passes', async () => {
    await token().health()
  })

  test('every use of a key or of the random generator counts as one operation, a refused one too', async () => {
    const [opening] = offered
    assert.ok(opening === 0x0010 || opening === 0x0020)
    const publicKey = await token().publicKey(`open ${opening}`)
    assert.ok(publicKey)
    if (publicKey === null) return
    const sealed = sealTo(publicKey, randomBytes(32), CONTEXT)
    const before = token().operations
    await token().sign('identity', Buffer.alloc(1))
    await token().random(8)
    await token().open(`open ${opening}`, sealed, CONTEXT)
    await faultOf(token().open(`open ${opening}`, { ...sealed, ciphertext: flipped(sealed.ciphertext, 5) }, CONTEXT))
    await token().publicKey('identity')
    assert.is(token().operations - before, 4)
  })

  test('a closed token answers absent, and closes twice', async () => {
    const other = await open()
    await other.token.close()
    await other.token.close()
    assert.is(await faultOf(other.token.random(1)), 'absent')
    await other.remove()
  })

  return test
}

/** One bit in every third byte, lengths around the right one, other contexts: refused, and the next call works. */
async function refusesAllElse(token: Token, label: string, sealed: SealedSecret, secret: Buffer): Promise<void> {
  const { encapsulated, ciphertext } = sealed
  const step = Math.ceil(ciphertext.length / 12)
  const wrong: SealedSecret[] = [
    { ...sealed, ciphertext: ciphertext.subarray(1) },
    { ...sealed, ciphertext: ciphertext.subarray(0, -1) },
    { ...sealed, ciphertext: Buffer.alloc(0) },
    { ...sealed, ciphertext: Buffer.concat([ciphertext, Buffer.alloc(1)]) },
    { ...sealed, ciphertext: Buffer.alloc(5000) },
  ]
  for (let at = 0; at < ciphertext.length; at += step) wrong.push({ ...sealed, ciphertext: flipped(ciphertext, at) })
  for (const at of [0, 1, encapsulated.length - 1])
    if (at >= 0 && at < encapsulated.length) wrong.push({ ...sealed, encapsulated: flipped(encapsulated, at) })
  for (const each of wrong) assert.is(await faultOf(token.open(label, each, CONTEXT)), 'refused')
  for (const context of OTHER) assert.is(await faultOf(token.open(label, sealed, context)), 'refused')
  assert.equal(await token.open(label, sealed, CONTEXT), secret, 'the call after a refusal works')
}

/** Fault of what is thrown; null when nothing is. */
export async function faultOf(doing: Promise<unknown>): Promise<TokenFault | null> {
  try {
    await doing
    return null
  } catch (error) {
    if (error instanceof TokenError) return error.fault
    throw error
  }
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 0x10
  return copy
}

function hex(id: number): string {
  return `0x${id.toString(16).padStart(4, '0')}`
}

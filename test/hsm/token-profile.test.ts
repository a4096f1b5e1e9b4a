import { encode, rfc8949EncodeOptions } from 'cborg'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { FormatError, type FormatFault } from '../../format/fault.ts'
import { openMemoryToken } from '../../hsm/memory-token.ts'
import {
  decodeTokenProfile,
  encodeTokenProfile,
  signTokenProfile,
  verifyTokenProfile,
} from '../../hsm/token-profile.ts'
import { softHsmToken } from './softhsm-fixture.ts'
import { faultOf as tokenFaultOf } from './token-contract.ts'

const test = suite('token profile')

test('a profile signed in SoftHSM comes back as it was, and says that 0x0020 is absent', async () => {
  const { token, remove } = await softHsmToken('profile')
  const identity = await token.makeSigningKey('identity')
  const signed = await signTokenProfile(token, 'identity')
  const read = verifyTokenProfile(signed)
  assert.equal(read, { profile: token.profile, identity: identity.spki })
  assert.equal(
    read.profile.suites.map(each => [each.suite, each.outcome, each.mechanism]),
    [
      [0x0010, 'passed', 0x1050],
      [0x0020, 'absent', 0],
      [0x0030, 'passed', 0x1087],
      [0x0031, 'passed', 0x210a],
    ],
    'SoftHSM 2.6.1 has AES-KWP under the number of PKCS#11 2.40',
  )
  assert.is(read.profile.manufacturer, 'SoftHSM project')
  assert.is(read.profile.moduleDigest.length, 32)
  await remove()
})

test('every single flipped bit of a signed profile is refused', async () => {
  const token = openMemoryToken({ label: 'profile' })
  await token.makeSigningKey('identity')
  const signed = await signTokenProfile(token, 'identity')
  assert.is(
    faultOf(() => verifyTokenProfile(signed)),
    null,
  )
  for (let bit = 0; bit < signed.length * 8; bit++) {
    const changed = Buffer.from(signed)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.not.equal(
      faultOf(() => verifyTokenProfile(changed)),
      null,
      `bit ${bit}`,
    )
  }
  for (const length of [0, 1, signed.length - 1])
    assert.is(
      faultOf(() => verifyTokenProfile(signed.subarray(0, length))),
      'malformed',
    )
  assert.is(
    faultOf(() => verifyTokenProfile(Buffer.concat([signed, Buffer.of(0)]))),
    'malformed',
  )
  assert.is(
    faultOf(() => verifyTokenProfile(Buffer.alloc(70_000))),
    'limit',
  )
  await token.close()
})

test('a profile needs its identity key', async () => {
  const token = openMemoryToken({ label: 'profile' })
  assert.is(await tokenFaultOf(signTokenProfile(token, 'identity')), 'no-key')
  await token.close()
})

test('only the deterministic encoding with exactly its fields is read', () => {
  const token = openMemoryToken({ label: 'profile' })
  const good = { profile: token.profile, identity: Buffer.from('key') }
  const { label, manufacturer, model, serial, moduleDigest } = token.profile
  const suites = token.profile.suites.map(each => [each.suite, each.outcome, each.mechanism, each.detail])
  const value = { version: 1, label, manufacturer, model, serial, moduleDigest, suites, identity: good.identity }
  const decode = (change: object) =>
    faultOf(() => decodeTokenProfile(encode({ ...value, ...change }, rfc8949EncodeOptions)))
  assert.equal(decodeTokenProfile(encodeTokenProfile(good)), good)
  assert.is(decode({}), null)
  assert.is(decode({ extra: 1 }), 'malformed')
  assert.is(decode({ version: 2 }), 'unsupported')
  assert.is(decode({ label: 1 }), 'malformed')
  assert.is(decode({ moduleDigest: Buffer.alloc(31) }), 'malformed')
  assert.is(decode({ suites: [[0x0040, 'passed', 0, '']] }), 'unsupported')
  assert.is(decode({ suites: [[0x0010, 'maybe', 0, '']] }), 'malformed')
  assert.is(decode({ suites: [[0x0010, 'passed', -1, '']] }), 'malformed')
  assert.is(decode({ suites: [[0x0010, 'passed', 0]] }), 'malformed')
  assert.is(decode({ suites: Array.from({ length: 65 }, () => [0x0010, 'passed', 0, '']) }), 'malformed')
  const unsorted = Buffer.from(encode(value, { mapSorter: () => 0 }))
  assert.not.equal(unsorted, encodeTokenProfile(good))
  assert.is(
    faultOf(() => decodeTokenProfile(unsorted)),
    'malformed',
  )
})

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

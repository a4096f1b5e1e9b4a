import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { SealContext } from '../../format/wrap-suite.ts'
import { enrol, type TokenProbe } from '../../hsm/enrol.ts'
import { openMemoryToken } from '../../hsm/memory-token.ts'
import { TokenError } from '../../hsm/token.ts'
import { faultOf } from './token-contract.ts'

const test = suite('enrolment')
const outcomes = async (probe: TokenProbe) => (await enrol(probe)).map(each => [each.suite, each.outcome])

/** A token with the two opening suites and nothing symmetric. */
function openingProbe(): TokenProbe {
  const token = openMemoryToken({ label: 'probe' })
  const absent = () => Promise.reject(new TokenError('unsupported', 'not in this token'))
  return {
    makeTemporaryPair: (label, suiteId) => token.makeOpeningKey(label, suiteId),
    importTemporaryKey: absent,
    open: (label, sealed, context) => token.open(label, sealed, context),
    seal: absent,
    destroyKey: label => token.destroyKey(label),
  }
}

test('what a token has not got is absent, what it answers rightly is passed', async () => {
  assert.equal(await outcomes(openingProbe()), [
    [0x0010, 'passed'],
    [0x0020, 'passed'],
    [0x0030, 'absent'],
    [0x0031, 'absent'],
  ])
})

test('a token that is only to open proves one suite, the preferred one that it can; what was not asked for is absent', async () => {
  const asked: number[] = []
  const counting = (probe: TokenProbe): TokenProbe => ({
    ...probe,
    makeTemporaryPair(label, suiteId) {
      asked.push(suiteId)
      return probe.makeTemporaryPair(label, suiteId)
    },
  })
  const found = await enrol(counting(openingProbe()), 'opening')
  assert.equal(asked, [0x0010])
  assert.equal(
    found.map(each => each.outcome),
    ['passed', 'absent', 'absent', 'absent'],
  )
  assert.match(found[1]?.detail ?? '', 'not asked for')

  const other = openingProbe()
  const falling: TokenProbe = {
    ...other,
    makeTemporaryPair: (label, suiteId) =>
      suiteId === 0x0010
        ? Promise.reject(new TokenError('unsupported', 'no P-256 here'))
        : other.makeTemporaryPair(label, suiteId),
  }
  assert.equal(
    (await enrol(falling, 'opening')).map(each => each.outcome),
    ['absent', 'passed', 'absent', 'absent'],
  )
})

test('a token that opens to something else has failed', async () => {
  const wrong = { ...openingProbe(), open: async () => Buffer.alloc(32) }
  assert.equal((await outcomes(wrong)).slice(0, 2), [
    [0x0010, 'failed'],
    [0x0020, 'failed'],
  ])
})

test('a token that does not look at the context has failed', async () => {
  const probe = openingProbe()
  let first: SealContext | null = null
  const careless: TokenProbe = {
    ...probe,
    open(label, sealed, context, mechanism) {
      first ??= context
      return probe.open(label, sealed, first, mechanism)
    },
  }
  assert.equal((await outcomes(careless)).slice(0, 2), [
    [0x0010, 'failed'],
    [0x0020, 'failed'],
  ])
})

test('a token that seals by another rule than the standard has failed', async () => {
  const own: TokenProbe = {
    ...openingProbe(),
    importTemporaryKey: async () => {},
    seal: async (_label, suiteId) => ({ suite: suiteId, encapsulated: Buffer.alloc(12), ciphertext: Buffer.alloc(72) }),
  }
  assert.equal((await outcomes(own)).slice(2), [
    [0x0030, 'failed'],
    [0x0031, 'failed'],
  ])
})

test('a lost or locked token ends enrolment: it says nothing about a suite', async () => {
  for (const fault of ['restarting', 'locked'] as const) {
    const lost = { ...openingProbe(), open: () => Promise.reject(new TokenError(fault, 'gone')) }
    assert.is(await faultOf(enrol(lost)), fault)
  }
})

test('the temporary keys are gone afterwards, whatever the outcome', async () => {
  for (const open of [openingProbe().open, async () => Buffer.alloc(32)]) {
    const probe = { ...openingProbe(), open }
    await enrol(probe)
    assert.is(await probe.destroyKey('sealift self-test'), false)
  }
})

test.run()

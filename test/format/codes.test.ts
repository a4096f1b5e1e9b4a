import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { newId } from '../../format/bytes.ts'
import { checkSymbol, decodeCrockford, encodeCrockford, grouped, readSymbols } from '../../format/crockford.ts'
import { FormatError } from '../../format/fault.ts'
import { checkSealCode, sealCode } from '../../format/seal-code.ts'
import { newUnlockCode, readUnlockCode, tokenPin, unlockKey } from '../../format/unlock-code.ts'
import { faultOf } from './faults.ts'

const codes = suite('codes for people')
const SYMBOLS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const CHECK_SYMBOLS = `${SYMBOLS}*~$=U`

codes('Crockford symbols come back as bytes, most significant bits first', () => {
  assert.is(encodeCrockford(Buffer.from('0000000000', 'hex')), '00000000')
  assert.is(encodeCrockford(Buffer.from('ffffffffff', 'hex')), 'ZZZZZZZZ')
  assert.is(encodeCrockford(Buffer.from('0842108421', 'hex')), '11111111')
  for (let at = 0; at < 40; at++) {
    const bytes = Buffer.alloc(5)
    bytes[at >> 3] = 0x80 >> (at & 7)
    assert.equal(decodeCrockford(encodeCrockford(bytes)), bytes)
  }
})

codes('the check symbol is the number mod 37', () => {
  for (const symbols of ['0', 'Z', '10', 'ZZZZ', '16J']) {
    let value = 0n
    for (const each of symbols) value = value * 32n + BigInt(SYMBOLS.indexOf(each))
    assert.is(checkSymbol(symbols), CHECK_SYMBOLS[Number(value % 37n)])
  }
})

codes('a new unlock code is five groups of five and reads back however it is typed', () => {
  const code = newUnlockCode()
  assert.match(code, /^([0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z]{4}[0-9A-HJKMNP-TV-Z*~$=U]$/)
  const bytes = readUnlockCode(code)
  assert.is(bytes.length, 15)
  for (const typed of [code.toLowerCase(), code.replaceAll('-', ''), code.replaceAll('-', ' '), `  ${code}\n`])
    assert.equal(readUnlockCode(typed), bytes)
  const zeros = `${'0'.repeat(23)}1`
  const typed = (zeros + checkSymbol(zeros)).replaceAll('0', 'o').replaceAll('1', 'l')
  assert.equal(readUnlockCode(typed), decodeCrockford(zeros))
  assert.not.equal(newUnlockCode(), code)
})

codes('every single wrong symbol and every swap of neighbours in an unlock code is found', () => {
  for (const code of [newUnlockCode(), newUnlockCode()].map(each => each.replaceAll('-', ''))) {
    for (let at = 0; at < 25; at++) {
      for (const other of at === 24 ? CHECK_SYMBOLS : SYMBOLS) {
        if (other === code[at]) continue
        const wrong = code.slice(0, at) + other + code.slice(at + 1)
        assert.is(
          faultOf(() => readUnlockCode(wrong)),
          'wrong-code',
          `${at}`,
        )
      }
      const [a, b] = [code[at], code[at + 1]]
      if (b === undefined || a === b) continue
      const swapped = code.slice(0, at) + b + a + code.slice(at + 2)
      assert.is(
        faultOf(() => readUnlockCode(swapped)),
        'wrong-code',
        `swap at ${at}`,
      )
    }
  }
})

codes('every single wrong symbol and every swap of neighbours in a seal code is found', () => {
  const checkpoint = Buffer.from('a signed checkpoint')
  const code = sealCode(checkpoint)
  assert.match(code, /^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/)
  checkSealCode(code.toLowerCase(), checkpoint)
  const plain = code.replaceAll('-', '')
  for (let at = 0; at < 16; at++) {
    for (const other of SYMBOLS)
      if (other !== plain[at])
        assert.is(
          faultOf(() => checkSealCode(plain.slice(0, at) + other + plain.slice(at + 1), checkpoint)),
          'wrong-code',
        )
    const [a, b] = [plain[at], plain[at + 1]]
    if (b === undefined || a === b) continue
    assert.is(
      faultOf(() => checkSealCode(plain.slice(0, at) + b + a + plain.slice(at + 2), checkpoint)),
      'wrong-code',
    )
  }
})

codes('another length or symbol is refused, and the message does not repeat what was typed', () => {
  for (const typed of ['', 'A', 'A'.repeat(24), 'A'.repeat(26), `${'A'.repeat(24)}!`, `U${'A'.repeat(24)}`])
    assert.throws(
      () => readUnlockCode(typed),
      (error: unknown) =>
        error instanceof FormatError &&
        error.fault === 'wrong-code' &&
        !(typed.length > 1 && error.message.includes(typed)),
    )
  assert.is(
    faultOf(() => readSymbols('U', 1, 'code', 'plain')),
    'wrong-code',
  )
  assert.is(readSymbols('u', 1, 'code', 'check'), 'U')
  assert.is(grouped('ABCDEFG', 3), 'ABC-DEF-G')
})

codes('keys of one code differ by purpose and grant, and the PIN needs both shares', () => {
  const code = readUnlockCode(newUnlockCode())
  const [grant, other] = [newId<Parameters<typeof unlockKey>[1]>(), newId<Parameters<typeof unlockKey>[1]>()]
  const keys = new Set(
    (['open grant', 'commitment', 'index key'] as const).flatMap(purpose =>
      [grant, other].map(each => unlockKey(code, each, purpose).toString('hex')),
    ),
  )
  assert.is(keys.size, 6)
  const [a, b] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
  const pins = new Set([
    tokenPin(a, b, a),
    tokenPin(b, a, a),
    tokenPin(a, a, a),
    tokenPin(a, b, b),
    tokenPin(Buffer.alloc(0), b, a),
  ])
  assert.is(pins.size, 5)
  for (const pin of pins) assert.match(pin, /^[\w-]{32}$/)
})

codes.run()

import { hkdfSync, randomBytes } from 'node:crypto'
import { type GrantId, idBytes } from './bytes.ts'
import { checkSymbol, decodeCrockford, encodeCrockford, grouped, readSymbols } from './crockford.ts'
import { FormatError } from './fault.ts'

const CODE_BYTES = 15
const SYMBOLS = 24

/** 24 random symbols (120 bits) and a check symbol, printed 5x5. @see FORMAT.md §8.2 */
export function newUnlockCode(): string {
  const symbols = encodeCrockford(randomBytes(CODE_BYTES))
  return grouped(symbols + checkSymbol(symbols), 5)
}

/**
 * The 15 secret bytes of a typed code.
 * @throws FormatError "wrong-code" - a typing error: such a try need not count against the lock-out
 */
export function readUnlockCode(typed: string): Buffer {
  const symbols = readSymbols(typed, SYMBOLS + 1, 'unlock code', 'check')
  const body = symbols.slice(0, SYMBOLS)
  if (checkSymbol(body) !== symbols.slice(SYMBOLS))
    throw new FormatError('wrong-code', 'unlock code: mistyped (its check symbol does not fit)')
  return decodeCrockford(body)
}

/** HKDF-SHA-256(code, salt = grant id). The code has 120 bits: no slow hash is needed. */
export function unlockKey(
  code: Uint8Array,
  grant: GrantId,
  purpose: 'open grant' | 'commitment' | 'index key',
): Buffer {
  return Buffer.from(hkdfSync('sha256', code, idBytes(grant), `sealift unlock v1 ${purpose}`, 32))
}

/**
 * The device token's PIN: neither share alone gives it. FORMAT.md §8.3
 * @param grantShare - 32 bytes from the grant's sealed part; empty before the first grant
 * @param deviceShare - 32 bytes kept on the device's state volume
 */
export function tokenPin(grantShare: Uint8Array, deviceShare: Uint8Array, salt: Uint8Array): string {
  const input = Buffer.concat([grantShare, deviceShare])
  const pin = Buffer.from(hkdfSync('sha256', input, salt, 'sealift pin v1', 24)).toString('base64url')
  input.fill(0)
  return pin
}

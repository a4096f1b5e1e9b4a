import { FormatError } from './fault.ts'

/** Crockford base32: no I, L, O, U; read case-insensitively, I and L as 1, O as 0. FORMAT.md §2.5 */
const SYMBOLS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const CHECK_SYMBOLS = `${SYMBOLS}*~$=U`

/** @param bytes - a whole number of 5-bit groups (a multiple of 5 bytes) */
export function encodeCrockford(bytes: Uint8Array): string {
  let out = ''
  let bits = 0
  let held = 0
  for (const byte of bytes) {
    held = (held << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      out += SYMBOLS[(held >> bits) & 31]
    }
    held &= (1 << bits) - 1
  }
  return out
}

export function decodeCrockford(symbols: string): Buffer {
  const out = Buffer.alloc(Math.floor((symbols.length * 5) / 8))
  let bits = 0
  let held = 0
  let at = 0
  for (const symbol of symbols) {
    held = (held << 5) | SYMBOLS.indexOf(symbol)
    bits += 5
    if (bits >= 8) {
      bits -= 8
      out[at++] = (held >> bits) & 0xff
    }
    held &= (1 << bits) - 1
  }
  return out
}

/** mod 37 over the symbols' values, as Crockford has it: finds every wrong symbol and every swap of neighbours. */
export function checkSymbol(symbols: string): string {
  let rest = 0
  for (const symbol of symbols) rest = (rest * 32 + SYMBOLS.indexOf(symbol)) % 37
  return CHECK_SYMBOLS[rest] ?? ''
}

/**
 * Typed text to symbols: blanks and hyphens dropped, I L → 1, O → 0. The last of `length` symbols may be a check symbol.
 * The message never repeats what was typed: it may be a secret.
 * @throws FormatError "wrong-code"
 */
export function readSymbols(typed: string, length: number, what: string, last: 'plain' | 'check'): string {
  const text = typed.replace(/[\s-]/g, '').toUpperCase()
  if (text.length !== length)
    throw new FormatError('wrong-code', `${what}: wanted ${length} symbols, found ${text.length}`)
  let out = ''
  for (let at = 0; at < text.length; at++) {
    const raw = text.charAt(at)
    const allowed = last === 'check' && at === length - 1 ? CHECK_SYMBOLS : SYMBOLS
    const symbol = raw === 'I' || raw === 'L' ? '1' : raw === 'O' ? '0' : raw
    if (!allowed.includes(symbol))
      throw new FormatError('wrong-code', `${what}: symbol ${at + 1} is none of the code's symbols`)
    out += symbol
  }
  return out
}

/** In groups, with hyphens. */
export function grouped(symbols: string, size: number): string {
  return symbols.match(new RegExp(`.{1,${size}}`, 'g'))?.join('-') ?? ''
}

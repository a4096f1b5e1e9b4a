import { equalBytes } from './bytes.ts'
import { decodeCrockford, encodeCrockford, grouped, readSymbols } from './crockford.ts'
import { FormatError } from './fault.ts'
import { messageHash } from './signed.ts'

const CODE_BYTES = 10
const SYMBOLS = 16

/**
 * 16 symbols, 4x4: the first 80 bits of SHA-256 of the sealed checkpoint. Whoever has it knows which seal is the newest.
 * @see FORMAT.md §7.5
 */
export function sealCode(sealedCheckpoint: Uint8Array): string {
  return grouped(encodeCrockford(messageHash(sealedCheckpoint).subarray(0, CODE_BYTES)), 4)
}

/** @throws FormatError "wrong-code" - not 16 symbols, or of another seal */
export function checkSealCode(typed: string, sealedCheckpoint: Uint8Array): void {
  const code = decodeCrockford(readSymbols(typed, SYMBOLS, 'seal code', 'plain'))
  if (!equalBytes(code, messageHash(sealedCheckpoint).subarray(0, CODE_BYTES)))
    throw new FormatError(
      'wrong-code',
      'seal code: it is of another seal than the newest on this drive; an older state may have been put back',
    )
}

/** SoftHSM 2 in a directory of ours: its configuration, its module, and PINs long enough for a token that locks nobody out. */
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { TokenError } from './token.ts'

const MODULE_PATHS = [
  '/usr/lib/softhsm/libsofthsm2.so', // Debian
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
]
const PIN_BYTES = 24 // 192 random bits: SoftHSM counts no wrong PINs, so the PIN alone stands against guessing

/** Path of SoftHSM's module. @throws TokenError "absent" - not installed */
export function softHsmModule(): string {
  const found = MODULE_PATHS.find(path => existsSync(path))
  if (found === undefined)
    throw new TokenError('absent', `SoftHSM is not installed: looked for ${MODULE_PATHS.join(', ')}; package softhsm2`)
  return found
}

/**
 * Makes `directory` (0700) ready to hold SoftHSM's tokens.
 *
 * @returns the environment for the token process, and for nothing else
 */
export function prepareSoftHsm(directory: string): { SOFTHSM2_CONF: string } {
  const tokens = resolve(directory, 'tokens')
  const configuration = resolve(directory, 'softhsm2.conf')
  if (/[\n#]/.test(directory))
    throw new TokenError('configuration', 'SoftHSM directory: no line end and no # in its name')
  for (const each of [resolve(directory), tokens]) {
    mkdirSync(each, { recursive: true, mode: 0o700 })
    chmodSync(each, 0o700)
  }
  const lines = [
    `directories.tokendir = ${tokens}`,
    'objectstore.backend = file',
    'log.level = ERROR',
    'slots.removable = false',
  ]
  const text = `${lines.join('\n')}\n`
  if (!existsSync(configuration) || readFileSync(configuration, 'utf8') !== text)
    writeFileSync(configuration, text, { mode: 0o600 })
  return { SOFTHSM2_CONF: configuration }
}

/** A new PIN, base64url, 32 characters. */
export function newSoftHsmPin(): Buffer {
  return Buffer.from(randomBytes(PIN_BYTES).toString('base64url'))
}

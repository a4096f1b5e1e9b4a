import { authorizationScheme } from './bearer.ts'
import { utf8Text } from './canonical.ts'
import { AccessError } from './fault.ts'
import type { RequestHead } from './proof.ts'

export type NameAndPassword = { username: string; password: string }

const BASE64 = /^[A-Za-z0-9+/]{1,2048}={0,2}$/
const USERNAME_MAX = 256

/** `Authorization: Basic` (RFC 7617), in UTF-8; `null` when there is another scheme or none. @throws AccessError "malformed" */
export function parseBasic(request: RequestHead): NameAndPassword | null {
  if (authorizationScheme(request) !== 'basic') return null
  const value = request.headers.find(([name]) => name.toLowerCase() === 'authorization')?.[1].trim() ?? ''
  const encoded = value.slice('basic'.length).trim()
  const text = BASE64.test(encoded) ? utf8Text(Buffer.from(encoded, 'base64')) : null
  const cut = text?.indexOf(':') ?? -1
  // biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 7617 forbids them
  if (text === null || cut < 1 || cut > USERNAME_MAX || /[\u0000-\u001f\u007f]/.test(text))
    throw new AccessError('malformed', 'Authorization: Basic wants a name, a colon and a password, in base64')
  return { username: text.slice(0, cut), password: text.slice(cut + 1) }
}

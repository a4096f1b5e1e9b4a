import type { AclCarrier } from './acl/headers.ts'
import { AccessError } from './fault.ts'

/** Under which key an object is to be sealed, as its request says it. `none`: it says nothing, `own`: the account's own key. */
export type EncryptionAsk =
  | { readonly kind: 'none' }
  | { readonly kind: 'own' }
  /** `context`: the encryption context, as one text for one meaning; empty: none */
  | { readonly kind: 'named'; readonly key: string; readonly context: string }

const ALGORITHM = 'x-amz-server-side-encryption'
const KEY = 'x-amz-server-side-encryption-aws-kms-key-id'
const CONTEXT = 'x-amz-server-side-encryption-context'
const GOOGLE_KEY = 'x-goog-encryption-kms-key-name'
/** says how Amazon keeps its own keys; epochs are that here */
const BUCKET_KEY = 'x-amz-server-side-encryption-bucket-key-enabled'
const KNOWN: readonly string[] = [ALGORITHM, KEY, CONTEXT, GOOGLE_KEY, BUCKET_KEY]
/** Every header that says how to encrypt. */
const ENCRYPTION_HEADER = /^x-amz-(?:copy-source-)?server-side-encryption|^x-goog-(?:copy-source-)?encryption-/
const CUSTOMER_KEY = /-customer-|^x-goog-(?:copy-source-)?encryption-(?:key|algorithm)/

export const ENCRYPTION_CONTEXT_MAX = 4096
const KEY_NAME = /^[\p{L}\p{N} ._@/-]{1,260}$/u

/**
 * @throws AccessError "unsupported-encryption" - a key of the caller's own, or another algorithm
 * @throws AccessError "malformed-encryption" - headers that do not go together, or say nothing
 */
export function askOfEncryption(carrier: AclCarrier): EncryptionAsk {
  const values = new Map<string, string>()
  const pairs = 'fields' in carrier ? carrier.fields : 'headers' in carrier ? carrier.headers : []
  for (const [raw, value] of pairs) {
    const name = raw.toLowerCase()
    if (!isEncryptionHeader(name)) continue
    if (CUSTOMER_KEY.test(name))
      throw new AccessError('unsupported-encryption', `${name}: keys that callers bring along are not taken here`)
    if (!KNOWN.includes(name)) throw new AccessError('unsupported-encryption', `${name} is not implemented here`)
    if (values.has(name)) throw malformed(`${name} came more than once`)
    values.set(name, 'fields' in carrier ? value.trim() : Buffer.from(value.trim(), 'latin1').toString('utf8'))
  }
  const algorithm = values.get(ALGORITHM)
  if (algorithm !== undefined && algorithm !== 'AES256' && algorithm !== 'aws:kms')
    throw new AccessError('unsupported-encryption', `${ALGORITHM}: want AES256 or aws:kms`)
  const key = values.get(KEY)
  const google = values.get(GOOGLE_KEY)
  const context = values.get(CONTEXT)
  if (google !== undefined) {
    if (algorithm !== undefined || key !== undefined || context !== undefined)
      throw malformed(`${GOOGLE_KEY} came with headers of another dialect`)
    return { kind: 'named', key: checkedKey(google, GOOGLE_KEY), context: '' }
  }
  if (algorithm === 'aws:kms') {
    if (key === undefined) throw malformed(`${KEY}: want the key, as account/name or by its id`)
    return { kind: 'named', key: checkedKey(key, KEY), context: context === undefined ? '' : contextText(context) }
  }
  if (key !== undefined || context !== undefined) throw malformed(`${ALGORITHM}: want aws:kms, a key or context came`)
  return algorithm === undefined ? { kind: 'none' } : { kind: 'own' }
}

export function isEncryptionHeader(name: string): boolean {
  return ENCRYPTION_HEADER.test(name)
}

function checkedKey(key: string, header: string): string {
  if (!KEY_NAME.test(key)) throw malformed(`${header}: want account/name or the id of a key`)
  return key
}

/** Pairs sorted by name, so that one meaning has one text. */
function contextText(base64: string): string {
  const bad = () =>
    malformed(`${CONTEXT}: want base64 of a JSON object of texts, at most ${ENCRYPTION_CONTEXT_MAX} bytes`)
  if (base64.length > ENCRYPTION_CONTEXT_MAX * 2 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) throw bad()
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(base64, 'base64')))
  } catch {
    throw bad() // neither the bytes nor the text of JSON
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw bad()
  const pairs = Object.entries(value)
  if (!pairs.every((pair): pair is [string, string] => typeof pair[1] === 'string')) throw bad()
  pairs.sort(([a], [b]) => (a < b ? -1 : 1))
  const text = `{${pairs.map(pair => pair.map(each => JSON.stringify(each)).join(':')).join(',')}}`
  if (Buffer.byteLength(text) > ENCRYPTION_CONTEXT_MAX) throw bad()
  return text
}

function malformed(message: string): AccessError {
  return new AccessError('malformed-encryption', message)
}

import { createHmac, timingSafeEqual } from 'node:crypto'
import { AccessError } from './fault.ts'
import { SCHEME_NAMES, SCHEMES, type Scheme } from './scheme.ts'
import { signatureMatches, signingKey } from './signing-key.ts'
import { parseAmzTime } from './time.ts'

/** Fields of a form by lower-case name. Text, not wire strings. */
export type FormFields = ReadonlyMap<string, string>

/**
 * The signature of a form's policy, which is all of the form that is signed: by version 4, or by version 2 (HMAC-SHA-1 of the policy with
 * the secret itself), which libraries still write for forms alone.
 */
export type FormSignature = { accessKey: string; policy: string; signature: string } & (
  | { scheme: Scheme; date: string; region: string; time: string }
  | { scheme: 'V2' }
)

/** Fields that a policy need not speak of. */
export const OF_SIGNATURE: readonly string[] = [
  ...['policy', 'file', 'signature', 'awsaccesskeyid', 'googleaccessid'],
  ...['x-amz-signature', 'x-goog-signature'],
]

/**
 * @returns null: the form is signed by nobody
 * @throws AccessError "malformed-form" | "unsupported"
 */
export function parseFormSignature(fields: FormFields): FormSignature | null {
  const second = ['awsaccesskeyid', 'googleaccessid', 'signature'].some(name => fields.has(name))
  const [scheme, other] = SCHEME_NAMES.filter(each =>
    ['algorithm', 'signature', 'credential', 'date'].some(name => fields.has(prefixed(each, name))),
  )
  const policy = fields.get('policy')
  if (scheme === undefined && !second) {
    if (policy !== undefined) throw malformed('a policy needs its signature')
    return null
  }
  if (other !== undefined || (scheme !== undefined && second)) throw malformed('the form is signed in two ways')
  if (policy === undefined) throw malformed('a signature needs the policy that it signs')
  return scheme === undefined ? ofSecond(fields, policy) : ofFourth(fields, policy, scheme)
}

function ofSecond(fields: FormFields, policy: string): FormSignature {
  const [accessKey, other] = ['awsaccesskeyid', 'googleaccessid'].flatMap(name => fields.get(name) ?? [])
  const signature = fields.get('signature')
  if (accessKey === undefined || other !== undefined || signature === undefined)
    throw malformed('want AWSAccessKeyId or GoogleAccessId, and signature')
  if (accessKey.length > 128 || !/^[A-Za-z0-9+/]{27}=$/.test(signature))
    throw new AccessError('signature-mismatch', 'the signature is not one of version 2')
  return { scheme: 'V2', accessKey, policy, signature }
}

function ofFourth(fields: FormFields, policy: string, scheme: Scheme): FormSignature {
  const { algorithm, service, terminator } = SCHEMES[scheme]
  const field = (name: string): string => {
    const value = fields.get(prefixed(scheme, name))
    if (value === undefined) throw malformed(`want the field ${prefixed(scheme, name)}`)
    return value
  }
  if (field('algorithm') !== algorithm)
    throw new AccessError('unsupported', `${prefixed(scheme, 'algorithm')}: want ${algorithm}`)
  const scope = /^(.{1,128})\/(\d{8})\/([^/]{1,64})\/([^/]+)\/([^/]+)$/.exec(field('credential'))
  const [, accessKey, date, region, named, end] = scope ?? []
  if (!accessKey || !date || !region || named !== service || end !== terminator)
    throw malformed(`${prefixed(scheme, 'credential')}: want key/yyyymmdd/region/${service}/${terminator}`)
  const time = field('date')
  if (parseAmzTime(time) === null || !time.startsWith(date))
    throw malformed(`${prefixed(scheme, 'date')}: want yyyymmddThhmmssZ of the day of the credential`)
  const signature = field('signature')
  if (!/^[0-9a-f]{64}$/.test(signature)) throw new AccessError('signature-mismatch', 'want 64 lower-case hex digits')
  return { scheme, accessKey, date, region, time, policy, signature }
}

/** Whether the policy was signed with this secret. */
export function verifyFormSignature(form: FormSignature, secret: string): boolean {
  if (form.scheme !== 'V2') return signatureMatches(signingKey(secret, form), form.policy, form.signature)
  const wanted = createHmac('sha1', Buffer.from(secret, 'utf8')).update(form.policy, 'utf8').digest()
  const given = Buffer.from(form.signature, 'base64')
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

function prefixed(scheme: Scheme, name: string): string {
  return `${SCHEMES[scheme].queryPrefix}${name}`.toLowerCase()
}

function malformed(message: string): AccessError {
  return new AccessError('malformed-form', message)
}

import { AccessError } from './fault.ts'
import { type FormFields, OF_SIGNATURE } from './form-signature.ts'

/** What whoever signed it lets others put into a bucket by a form. */
export type FormPolicy = {
  /** ms since 1970 */
  expiresAt: number
  conditions: readonly FormCondition[]
  /** bytes that the file may have, both inclusive; null: any */
  lengths: { least: number; most: number } | null
}
/** `field`: lower-case name */
export type FormCondition = { match: 'eq' | 'starts-with'; field: string; value: string }

const POLICY_CHARS = 20 << 10
const CONDITIONS_MAX = 200
/** To be ignored; or what allows nothing more: a file that is another is refused. */
const UNSPOKEN = /^x-(?:ignore|amz-checksum)-/
/** As of presigned requests. */
const LONGEST_MS = 7 * 24 * 3600 * 1000

/** @throws AccessError "malformed-policy" */
export function parseFormPolicy(base64: string): FormPolicy {
  if (base64.length > POLICY_CHARS || !/^[A-Za-z0-9+/\r\n]+={0,2}[\r\n]*$/.test(base64)) throw malformed('no base64')
  // documents may write a dollar that is meant as one as \$, which JSON does not know
  const text = Buffer.from(base64, 'base64')
    .toString('utf8')
    .replace(/\\(.)/gs, (pair, escaped) => (escaped === '$' ? '$' : pair))
  const document = jsonOf(text)
  if (!isRecord(document)) throw malformed('want an object with expiration and conditions')
  const { expiration, conditions } = document
  if (typeof expiration !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/.test(expiration))
    throw malformed('expiration: want yyyy-mm-ddThh:mm:ssZ')
  const expiresAt = Date.parse(expiration)
  if (Number.isNaN(expiresAt)) throw malformed('expiration: no such time')
  if (!Array.isArray(conditions) || conditions.length > CONDITIONS_MAX)
    throw malformed(`conditions: want a list of at most ${CONDITIONS_MAX}`)
  const policy: { conditions: FormCondition[]; lengths: FormPolicy['lengths'] } = { conditions: [], lengths: null }
  for (const each of conditions) {
    const found = conditionOf(each)
    if ('match' in found) policy.conditions.push(found)
    // of several all must hold
    else
      policy.lengths = {
        least: Math.max(found.least, policy.lengths?.least ?? 0),
        most: Math.min(found.most, policy.lengths?.most ?? Number.MAX_SAFE_INTEGER),
      }
  }
  return { expiresAt, ...policy }
}

function conditionOf(found: unknown): FormCondition | { least: number; most: number } {
  if (Array.isArray(found)) {
    const [operator, first, second, more]: unknown[] = found
    if (typeof operator !== 'string' || more !== undefined) throw malformed('a condition of three')
    const match = operator.toLowerCase()
    if (match === 'content-length-range') {
      const [least, most] = [bytesOf(first), bytesOf(second)]
      if (least > most) throw malformed('content-length-range: the least is above the most')
      return { least, most }
    }
    if (match !== 'eq' && match !== 'starts-with') throw malformed('want eq, starts-with or content-length-range')
    if (typeof first !== 'string' || !first.startsWith('$') || typeof second !== 'string')
      throw malformed(`${match}: want "$field" and a text`)
    return { match, field: first.slice(1).toLowerCase(), value: second }
  }
  const [only, other] = isRecord(found) ? Object.entries(found) : []
  if (only === undefined || other !== undefined || typeof only[1] !== 'string')
    throw malformed('a condition: want {"field": "text"} or a list')
  return { match: 'eq', field: only[0].toLowerCase(), value: only[1] }
}

function bytesOf(value: unknown): number {
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0)
    throw malformed('content-length-range: want two whole numbers of 0 or more')
  return number
}

/**
 * Whether the policy allows the form: of this time, every condition holds, and every field is spoken of.
 *
 * @param bucket - that of the request, which must be spoken of too
 * @throws AccessError "expired" | "denied"
 */
export function judgeForm(policy: FormPolicy, fields: FormFields, bucket: string, now: number): void {
  if (now >= policy.expiresAt) throw new AccessError('expired', 'Invalid according to Policy: Policy expired.')
  if (policy.expiresAt > now + LONGEST_MS)
    throw new AccessError('denied', 'Invalid according to Policy: it holds for more than a week from now.')
  const given = new Map([...fields, ['bucket', fields.get('bucket') ?? bucket]])
  if (given.get('bucket') !== bucket) throw refused('the bucket is another')
  for (const { match, field, value } of policy.conditions) {
    const found = given.get(field) ?? ''
    if (match === 'eq' ? found !== value : !found.startsWith(value)) throw refused(`["${match}", "$${field}"] failed`)
  }
  const spoken = new Set(policy.conditions.map(each => each.field))
  for (const name of given.keys())
    if (!spoken.has(name) && !OF_SIGNATURE.includes(name) && !UNSPOKEN.test(name))
      throw refused(`extra input field: ${name.slice(0, 60)}`)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new AccessError('malformed-policy', 'Invalid Policy: no JSON', { cause })
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function refused(what: string): AccessError {
  return new AccessError('denied', `Invalid according to Policy: ${what}`)
}

function malformed(what: string): AccessError {
  return new AccessError('malformed-policy', `Invalid Policy: ${what}`)
}

import { createHash } from 'node:crypto'
import type { Someone } from '../acl/world.ts'
import { type Conditions, type Fields, formOf, iso, policyText, signSecond } from './sender.ts'

/** What a public suite of S3 asserts of forms, case by case, and more of the same kind. */

export const BASE: Fields = [
  ['key', 'foo.txt'],
  ['acl', 'private'],
  ['Content-Type', 'text/plain'],
]

export const usual = (bucket: string): Conditions => [
  { bucket },
  ['starts-with', '$key', 'foo'],
  { acl: 'private' },
  ['starts-with', '$Content-Type', 'text/plain'],
  ['content-length-range', 0, 1024],
]

export type Case = {
  title: string
  status: number
  code?: string
  fields?: Fields
  conditions?: (bucket: string) => Conditions
  policy?: (bucket: string, now: number) => object
  sign?: (by: Someone, policy: string) => Fields
  file?: string | Buffer | null
}

export const soon = (now: number): string => iso(now + 6_000_000)

export function signedForm(by: Someone, bucket: string, now: number, given: Partial<Case> = {}): Buffer {
  const { fields = BASE, conditions = usual, file = 'bar', policy, sign = signSecond } = given
  const text =
    policy === undefined
      ? policyText(conditions(bucket), soon(now))
      : Buffer.from(JSON.stringify(policy(bucket, now))).toString('base64')
  return formOf([...fields, ...sign(by, text)], file)
}

const good = (title: string, more: Partial<Case> = {}): Case => ({ title, status: 204, ...more })
const bad = (status: number, code: string, title: string, more: Partial<Case>): Case => ({
  title,
  status,
  code,
  ...more,
})
const wrong = (title: string, more: Partial<Case>): Case => bad(400, 'InvalidPolicyDocument', title, more)
const refused = (title: string, more: Partial<Case>): Case => bad(403, 'AccessDenied', title, more)

const without = (index: number) => (bucket: string) => usual(bucket).filter((_, at) => at !== index)
const plus = (condition: unknown) => (bucket: string) => [...usual(bucket), condition]
const range = (...bounds: unknown[]) => ({
  conditions: (b: string) => [...without(4)(b), ['content-length-range', ...bounds]],
})
const field = (name: string, value: string): { fields: Fields } => ({ fields: [...BASE, [name, value]] })
const any = (name: string) => ({ conditions: plus(['starts-with', `$${name}`, '']) })
const key = (value: string): Fields => [['key', value], ...BASE.slice(1)]
const lasting = (expiration: (now: number) => string): Partial<Case> => ({
  policy: (bucket, now) => ({ expiration: expiration(now), conditions: usual(bucket) }),
})
const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64')
const META = ['x-amz-meta-foo', 'barclamp'] as const
const inAnyCase = (bUcKeT: string): Conditions => [
  { bUcKeT },
  ['StArTs-WiTh', '$KeY', 'foo'],
  { AcL: 'private' },
  ['StArTs-WiTh', '$CoNtEnT-TyPe', 'text/plain'],
  ['content-length-range', 0, 1024],
]

export const CASES: Case[] = [
  good('a form as its policy says'),
  good('a form without Content-Type', { fields: BASE.slice(0, 2), conditions: without(3) }),
  good('a file larger than a piece', { file: 'foo'.repeat(1 << 20), ...range(0, 5 << 20) }),
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what forms say
  good('the key from the name of the file', { fields: key('${filename}') }),
  good('a field that is to be ignored', field('x-ignore-foo', 'bar')),
  good('names of fields in any case', {
    fields: [
      ['kEy', 'foo.txt'],
      ['aCl', 'private'],
      ['Content-Type', 'text/plain'],
    ],
    conditions: inAnyCase,
  }),
  good('a value with an escaped dollar', {
    fields: key('\\$foo.txt'),
    conditions: b => [...without(1)(b), ['starts-with', '$key', '\\$foo']],
  }),
  good('metadata as the policy says', {
    ...field(...META),
    conditions: plus(['starts-with', '$x-amz-meta-foo', 'bar']),
  }),
  good('a file of the most bytes', range(0, 3)),
  good('a file of the least bytes', range(3, 3)),
  good('an empty file where one may be', { file: '' }),
  good('a range in texts', range('0', '3')),
  good('a checksum that is right', field('x-amz-checksum-sha256', sha256('bar'))),
  bad(400, 'InvalidRequest', 'a checksum that is none', field('x-amz-checksum-sha256', 'none')),
  bad(400, 'BadDigest', 'a checksum that is wrong', field('x-amz-checksum-sha256', sha256('baz'))),
  bad(403, 'InvalidAccessKeyId', 'an unknown access key', {
    sign: (by, p) => signSecond({ ...by, accessKey: 'foo' }, p),
  }),
  bad(403, 'SignatureDoesNotMatch', 'another signature', {
    sign: (by, p) => signSecond({ ...by, secretKey: 'other' }, p),
  }),
  bad(400, 'InvalidArgument', 'no signature', {
    sign: (by, p) => signSecond(by, p).filter(([n]) => n !== 'signature'),
  }),
  bad(400, 'InvalidArgument', 'no policy', { sign: (by, p) => signSecond(by, p).filter(([n]) => n !== 'policy') }),
  bad(400, 'InvalidArgument', 'two kinds of signatures', {
    sign: (by, p) => [...signSecond(by, p), ['x-amz-algorithm', 'AWS4-HMAC-SHA256']],
  }),
  bad(400, 'InvalidArgument', 'no key', { fields: BASE.slice(1), conditions: without(1) }),
  bad(400, 'InvalidArgument', 'the same field twice', field('ACL', 'public-read')),
  bad(400, 'InvalidArgument', 'a line end in metadata', {
    ...field('x-amz-meta-foo', 'a\r\nb: 1'),
    ...any('x-amz-meta-foo'),
  }),
  bad(400, 'MalformedPOSTRequest', 'no file', { file: null }),
  bad(501, 'NotImplemented', 'tags, which are not kept here', field('tagging', '<Tagging/>')),
  bad(501, 'NotImplemented', 'a session token, which nobody gives here', field('x-amz-security-token', 't')),
  ...[
    'javascript:alert(1)',
    '//evil.example',
    'https:evil.example',
    'ftp://x.example/',
    'https://a@b.example/',
    '/here',
  ].map(url =>
    bad(400, 'InvalidArgument', `a redirect to ${url}`, {
      ...field('success_action_redirect', url),
      ...any('success_action_redirect'),
    }),
  ),
  refused('a redirect that the policy does not speak of', field('success_action_redirect', 'https://page.example/')),
  refused('no condition on the bucket', { conditions: without(0) }),
  refused('a field that the policy wants is not there', {
    conditions: plus(['starts-with', '$x-amz-meta-foo', 'bar']),
  }),
  refused('a field that the policy does not speak of', field(...META)),
  refused('a value that the policy does not allow', {
    ...field(...META),
    conditions: plus(['eq', '$x-amz-meta-foo', '']),
  }),
  refused('a policy for another bucket', { conditions: () => usual('another') }),
  refused('a field bucket that is another', { ...field('bucket', 'another'), conditions: () => usual('another') }),
  refused(
    'an expired policy',
    lasting(now => iso(now - 6_000_000)),
  ),
  refused(
    'a policy that ends at this moment',
    lasting(now => new Date(now).toISOString()),
  ),
  refused(
    'a policy for more than a week',
    lasting(now => iso(now + 605_000_000)),
  ),
  wrong(
    'an expiration that is no date',
    lasting(() => '2030-01-01 00:00:00+00:00'),
  ),
  wrong(
    'a day that there is not',
    lasting(() => '2030-02-40T00:00:00Z'),
  ),
  wrong('CONDITIONS', { policy: (b, now) => ({ expiration: soon(now), CONDITIONS: usual(b) }) }),
  wrong('EXPIRATION', { policy: (b, now) => ({ EXPIRATION: soon(now), conditions: usual(b) }) }),
  wrong('no expiration', { policy: b => ({ conditions: usual(b) }) }),
  wrong('no conditions', { policy: (_, now) => ({ expiration: soon(now) }) }),
  wrong('conditions that are no list', { policy: (_, now) => ({ expiration: soon(now), conditions: {} }) }),
  wrong('a policy that is a list', { policy: usual }),
  wrong('a policy that is no JSON', { sign: by => signSecond(by, Buffer.from('{"expiration":').toString('base64')) }),
  wrong('a policy that is no base64', { sign: by => signSecond(by, '{}') }),
  wrong('an empty condition', { conditions: () => [{}] }),
  wrong('a condition of two fields', { conditions: bucket => [{ bucket, acl: 'private' }] }),
  wrong('an operator that is none', { conditions: plus(['ends-with', '$key', 'x']) }),
  wrong('a condition on no field', { conditions: plus(['eq', 'key', 'x']) }),
  wrong('a condition of four', { conditions: plus(['eq', '$key', 'x', 'y']) }),
  wrong('201 conditions', { conditions: bucket => Array.from({ length: 201 }, () => ({ bucket })) }),
  wrong('a range of one number', range(0)),
  wrong('a range below zero', range(-1, 0)),
  wrong('a range upside down', range(2, 1)),
  bad(400, 'EntityTooLarge', 'a file above the range', range(0, 2)),
  bad(400, 'EntityTooSmall', 'a file below the range', range(4, 1000)),
]

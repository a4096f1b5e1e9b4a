/** Forms as pages send them, signed by hand: by nothing of ours. */
import { createHmac } from 'node:crypto'
import { collect } from '../../store/contract/bodies.ts'
import type { Answer, Someone, World } from '../acl/world.ts'

export type Fields = [name: string, value: string][]
export type Conditions = unknown[]

const BOUNDARY = 'a-boundary-of-the-form'

export function part(name: string, value: string | Buffer, more = ''): Buffer {
  const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), Buffer.from(value), Buffer.from('\r\n')])
}

export const END = Buffer.from(`--${BOUNDARY}--\r\n`)

/** The file last; every part with a file's name, as some libraries send them. */
export function formOf(fields: Fields, file: string | Buffer | null, filename = 'foo.txt'): Buffer {
  const parts = fields.map(([name, value]) => part(name, value, `; filename="${name}"`))
  if (file !== null) parts.push(part('file', file, `; filename="${filename}"\r\nContent-Type: text/html`))
  return Buffer.concat([...parts, END])
}

export function policyText(conditions: Conditions, expiration: string): string {
  return Buffer.from(JSON.stringify({ expiration, conditions })).toString('base64')
}

export const iso = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`

/** Version 2: HMAC-SHA-1 of the policy by the secret. */
export function signSecond({ accessKey, secretKey }: Someone, policy: string, name = 'AWSAccessKeyId'): Fields {
  const signature = createHmac('sha1', secretKey).update(policy).digest('base64')
  return [
    [name, accessKey],
    ['signature', signature],
    ['policy', policy],
  ]
}

const WORDS = {
  amz: { prefix: 'AWS4', scope: 's3/aws4_request' },
  goog: { prefix: 'GOOG4', scope: 'storage/goog4_request' },
}

/** Version 4, Amazon's or Google's: the fields that a policy must speak of, and the signature over a policy. */
export function fourth({ accessKey, secretKey }: Someone, dialect: keyof typeof WORDS, at: number) {
  const { prefix, scope } = WORDS[dialect]
  const time = iso(at).replace(/[-:]/g, '')
  const date = time.slice(0, 8)
  const credential = `${accessKey}/${date}/r1/${scope}`
  const spoken: Fields = [
    [`x-${dialect}-algorithm`, `${prefix}-HMAC-SHA256`],
    [`x-${dialect}-credential`, credential],
    [`x-${dialect}-date`, time],
  ]
  const key = ['r1', ...scope.split('/')].reduce(
    (before, word) => createHmac('sha256', before).update(word).digest(),
    createHmac('sha256', `${prefix}${secretKey}`).update(date).digest(),
  )
  const sign = (policy: string): Fields => [
    ...spoken,
    ['policy', policy],
    [`x-${dialect}-signature`, createHmac('sha256', key).update(policy).digest('hex')],
  ]
  return { spoken, sign, conditions: spoken.map(([name, value]) => ({ [name]: value })) }
}

/** Sends the bytes in pieces of `size`. */
export async function post(
  world: World,
  bucket: string,
  body: Buffer,
  { size = 65_536, headers = {}, boundary = BOUNDARY }: { size?: number; headers?: object; boundary?: string } = {},
): Promise<Answer> {
  async function* stream() {
    for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size)
  }
  const sent = { host: 'localhost', 'content-type': `multipart/form-data; boundary=${boundary}`, ...headers }
  const answer = await world.hosted.face({
    method: 'POST',
    rawPath: `/${bucket}`,
    rawQuery: '',
    headers: Object.entries(sent),
    body: stream(),
  })
  const bytes = answer.body === null || answer.body instanceof Uint8Array ? answer.body : await collect(answer.body)
  const text = Buffer.from(bytes ?? '').toString('utf8')
  return { status: answer.status, code: /<Code>(\w+)</.exec(text)?.[1] ?? '', text, headers: new Map(answer.headers) }
}

import * as s3 from '@aws-sdk/client-s3'

export type ClientTarget = {
  endpoint: string
  accessKey: string
  secretKey: string
  /** exists and is empty */
  bucket: string
  takesForms: boolean
  label: string
}

export const verbs = [
  'put',
  'list',
  'get',
  'range',
  'head',
  'multipart',
  'metadata',
  'odd names',
  'delete',
  'delete many',
  'form',
] as const
export type Verb = (typeof verbs)[number]
/** Throws when the verb does not do what it should; `null`: the client has no such verb. */
export type Client = { name: string; run: Record<Verb, (() => Promise<void>) | null> }

export type ClientReport = {
  label: string
  client: string
  verb: Verb
  outcome: 'ok' | 'failed' | 'no such verb'
  detail: string
}

export const oddNames = [
  'with space',
  'ünï/cødé 日本 🚢',
  'a+b',
  '100% sure',
  'q?=&#;',
  "quote's (1)",
  'percent%20encoded',
]
export const multipartBytes = 12 * 1024 * 1024 + 3

export function sdkClient(target: ClientTarget): s3.S3Client {
  return new s3.S3Client({
    endpoint: target.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: target.accessKey, secretAccessKey: target.secretKey },
  })
}

/** As the store has it: what clients show may be a digest of their own. */
export async function etagOf(target: ClientTarget, key: string): Promise<string> {
  const client = sdkClient(target)
  try {
    return (await client.send(new s3.HeadObjectCommand({ Bucket: target.bucket, Key: key }))).ETag ?? ''
  } finally {
    client.destroy()
  }
}

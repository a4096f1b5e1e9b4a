import { randomBytes } from 'node:crypto'
import { type Client, type ClientTarget, verbs } from './client.ts'
import { equals } from './expect.ts'
import { command } from './workshop.ts'

export const DEBIAN_PYTHON = '/usr/bin/python3'

/** What a page's server does: it signs a policy, and hands address and fields to the page. */
const PRESIGN = `
import boto3, json, sys
from botocore.config import Config
endpoint, bucket, key = sys.argv[1:]
s3 = boto3.client('s3', endpoint_url=endpoint, region_name='us-east-1', config=Config(signature_version='s3v4', s3={'addressing_style': 'path'}))
asked = {'acl': 'public-read', 'x-amz-meta-colour': 'blue', 'success_action_status': '201'}
conditions = [{name: value} for name, value in asked.items()] + [['content-length-range', 1, 200000], ['starts-with', '$Content-Type', 'text/']]
print(json.dumps(s3.generate_presigned_post(bucket, key, Fields=asked, Conditions=conditions, ExpiresIn=600)))
`

type Presigned = { url: string; fields: Record<string, string> }

/** boto3 signs, and a form as browsers encode it is sent: only the hosted store takes forms. */
export function boto3(target: ClientTarget, home: string): Client {
  const python = command(DEBIAN_PYTHON, home, {
    AWS_ACCESS_KEY_ID: target.accessKey,
    AWS_SECRET_ACCESS_KEY: target.secretKey,
    AWS_EC2_METADATA_DISABLED: 'true',
  })
  const form = async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what forms say
    const key = 'boto3/${filename}'
    const signed = JSON.parse(await python('-c', PRESIGN, target.endpoint, target.bucket, key)) as Presigned
    const bytes = randomBytes(100_003)
    const send = (file: Buffer) => {
      const body = new FormData()
      for (const [name, value] of Object.entries({ ...signed.fields, 'Content-Type': 'text/x-odd' }))
        body.append(name, value)
      body.append('file', new Blob([file]), 'with spåce.txt')
      return fetch(signed.url, { method: 'POST', body })
    }
    equals(String((await send(bytes)).status), '201')
    const got = await fetch(`${target.endpoint}/${target.bucket}/boto3/with%20sp%C3%A5ce.txt`)
    equals(`${got.headers.get('content-type')} ${got.headers.get('x-amz-meta-colour')}`, 'text/x-odd blue')
    if (!Buffer.from(await got.arrayBuffer()).equals(bytes)) throw new Error('other bytes came back')
    equals(String((await send(randomBytes(200_001))).status), '400')
    equals(String((await send(Buffer.alloc(0))).status), '400')
  }
  const none = Object.fromEntries(verbs.map(verb => [verb, null])) as Client['run']
  return { name: 'boto3', run: { ...none, form: target.takesForms ? form : null } }
}

/** Sound inputs that are not among the format's vectors. */

import { createSecretKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { signRequest } from '../../../access/sign.ts'
import { amzTime } from '../../../access/time.ts'
import { newId } from '../../../format/bytes.ts'
import { decodeCbor, encodeCbor } from '../../../format/cbor.ts'
import { readCustodyLog } from '../../../format/custody.ts'
import { signDeviceRequest } from '../../../format/device-request.ts'
import { FRAME } from '../../../format/frame.ts'
import { encodeMetadata, encodeTombstone } from '../../../format/metadata.ts'
import { walkPack } from '../../../format/pack-walk.ts'
import { readEntries } from '../../../format/read-at.ts'
import { readReceiptFileHead } from '../../../format/receipt-file.ts'
import { encodeBinding } from '../../../format/release.ts'
import { createAuthority, issueCertificate } from '../../../hsm/certificate.ts'
import { createRequest } from '../../../hsm/csr.ts'
import { openMemoryToken } from '../../../hsm/memory-token.ts'
import type { Token } from '../../../hsm/token.ts'
import { decodeTokenProfile, signTokenProfile } from '../../../hsm/token-profile.ts'
import { newSigner } from '../../format/signer.ts'
import { readAtOf, type VectorFile } from '../../format/vector-readers.ts'
import { smallDrive, text } from './samples.ts'

const XML = [
  '<?xml version="1.0" encoding="UTF-8"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a&amp;b</Key></Object><Quiet>true</Quiet></Delete>',
  '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"0123456789abcdef0123456789abcdef"</ETag></Part></CompleteMultipartUpload>',
  '<a><![CDATA[x]]><!-- c --><b c="d"/>&#65;</a>',
]

/** Pieces of a small drive, by what they are. */
export async function frames(kind: string): Promise<Buffer[]> {
  const drive = await smallDrive()
  const pack = drive.pack.bytes()
  const types: Record<string, number> = {
    epoch: FRAME.epoch,
    commit: FRAME.commit,
    stone: FRAME.tombstone,
    leaves: FRAME.leaves,
  }
  const wanted = types[kind]
  if (wanted !== undefined || kind === 'frame') {
    const found: Buffer[] = []
    for await (const frame of walkPack(readAtOf(pack))) {
      if (frame.type === FRAME.body) continue
      if (kind === 'frame') found.push(pack.subarray(frame.offset, frame.end))
      else if (frame.type === wanted) found.push(frame.payload)
    }
    return found.slice(0, 8)
  }
  switch (kind) {
    case 'pack':
      return [pack.subarray(0, 8000)]
    case 'metadata':
      return [
        encodeMetadata({
          bucket: 'b',
          key: 'k',
          modifiedAt: 1,
          etag: 'e',
          headers: { 'cache-control': 'x' },
          user: { a: 'b' },
          contentType: 'text/plain',
          digest: { id: 1, bytes: Buffer.alloc(32) },
        }),
      ]
    case 'tombstone':
      return [encodeTombstone({ bucket: 'b', key: 'k', objectIds: [newId()] })]
    case 'binding':
      return [encodeBinding('owner', 'private'), encodeBinding('owner', '', { key: 'k', context: '{"a":"b"}' })]
    case 'xml':
      return text(...XML)
    case 'custody event': {
      const log = drive.files.get('custody.log') ?? Buffer.alloc(0)
      return all(readCustodyLog(readAtOf(log)))
    }
    case 'receipt':
      return [(await readReceiptFileHead(readAtOf(drive.receipts))).signedReceipt]
    case 'receipt line': {
      const { linesAt } = await readReceiptFileHead(readAtOf(drive.receipts))
      return all(readEntries(readAtOf(drive.receipts), linesAt, 1 << 20, 'line'))
    }
    case 'device request': {
      const signer = newSigner()
      const request = {
        device: newId<never>(),
        csr: Buffer.alloc(100),
        identity: signer.spki,
        transport: { suite: 0x0010 as const, spki: signer.spki },
        profile: Buffer.alloc(50),
      }
      return [await signDeviceRequest(request, signer.sign)]
    }
    default:
      throw new Error(`no samples of ${kind}`)
  }
}

async function all(items: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const out: Buffer[] = []
  for await (const item of items) out.push(Buffer.from(item))
  return out
}

/** What is asked or answered in a call of the keystore. */
export function messages(call: string, at: number): Buffer[] {
  const path = new URL('../../vectors/sealift/release.json', import.meta.url)
  const { cases } = JSON.parse(readFileSync(path, 'utf8')) as VectorFile
  const wanted = `${call} ${at === 0 ? 'ask' : 'answer'}`
  const found = cases.filter(each => each.inputs.message === wanted).map(each => Buffer.from(each.bytes, 'base64'))
  // a message without a vector of its own is tried with everybody else's
  return found.length > 0 ? found : cases.map(each => Buffer.from(each.bytes, 'base64'))
}

const HEAD = [
  'PUT /bucket/a%20b//..%2Fc?partNumber=1&uploadId=x&list-type=2&max-keys=1000\nhost: bucket.s3.example:80\nrange: bytes=0-9\nif-match: "abc"\nif-none-match: *\nif-modified-since: Fri, 24 May 2013 00:00:00 GMT\ncontent-type: text/plain; charset=utf-8\nx-amz-meta-a: =?UTF-8?B?w6Q=?=\nx-amz-acl: private\ncache-control: no-store\nexpires: 0',
  'GET /b/k?prefix=a&delimiter=%2F\nhost: 127.0.0.1:9100\nrange: bytes=-5\nif-unmodified-since: Fri, 24 May 2013 00:00:00 GMT',
  'GET /b/k\nhost: h\nrange: bytes=5-\nx-amz-copy-source: /b/k%20x?versionId=null',
]
export const headText = (): Buffer[] => text(...HEAD)

export function sigV4Samples(): Buffer[] {
  const credentials = { accessKey: 'AKID', secretKey: 'secret' }
  const time = new Date('2013-05-24T00:00:00Z')
  const head = { method: 'GET', rawPath: '/b/k', rawQuery: 'a=b', headers: [['host', 'h']] as [string, string][] }
  const signed = signRequest(head, credentials, { region: 'us-east-1', time, payload: 'UNSIGNED-PAYLOAD' })
  const lines = signed.headers.map(([name, value]) => `${name}: ${value}`).join('\n')
  const query = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=${amzTime(time)}&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=${'a'.repeat(64)}`
  const google = (found: string): string =>
    found.replace(/X-Amz/g, 'X-Goog').replace(/x-amz/g, 'x-goog').replace(/AWS4/g, 'GOOG4')
  const samples = [`GET /b/k?a=b\n${lines}`, `GET /b/k?${query}\nhost: h`]
  return text(
    ...samples,
    ...samples.map(each => google(each).replace('s3%2Faws4', 'storage%2Fgoog4').replace('s3/aws4', 'storage/goog4')),
  )
}

export function basicSamples(): Buffer[] {
  return text(`GET /b/k\nhost: h\nauthorization: Basic ${Buffer.from('anna:pass:word').toString('base64')}`)
}

export function bearerSamples(): Buffer[] {
  const head = 'GET /b/k?a=b\nhost: h\nx-amz-acl: private'
  const token = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.AAAA'
  return text(`${head}\nauthorization: Bearer ${token}`, `${head}\nauthorization: DPoP ${token}\ndpop: ${token}`)
}

/** What a caller's chunk claims are judged with. */
export const CLAIM_KEY = createSecretKey(Buffer.alloc(32, 1))

/** The fields of a chunk's claim, a line each. */
export const claims = (): Buffer[] =>
  text(
    ['chunk', '20130524T000000Z', '20130524', 'us-east-1', 'a'.repeat(64), 'b'.repeat(64), 'c'.repeat(64)].join('\n'),
  )

export function chunkedSamples(): Buffer[] {
  const signature = `;chunk-signature=${'a'.repeat(64)}`
  return text(
    `5${signature}\r\nhello\r\n0${signature}\r\n\r\n`,
    `5${signature}\r\nhello\r\n0${signature}\r\nx-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:${'b'.repeat(64)}\r\n\r\n`,
    '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n',
  )
}

type Hosts = { ca: Buffer; device: Buffer; csr: Buffer; profile: Buffer }
let made: Promise<Hosts> | null = null

function hosts(): Promise<Hosts> {
  made ??= make(openMemoryToken({ label: 'fuzzed' }))
  return made
}

async function make(token: Token): Promise<Hosts> {
  const validity = { notBefore: new Date(Date.now() - 86_400_000), notAfter: new Date(Date.now() + 86_400_000) }
  await token.makeSigningKey('ca')
  await token.makeSigningKey('device')
  const ca = await createAuthority(token, 'ca', 'CA', validity)
  const csr = await createRequest(token, 'device', 'device')
  const device = await issueCertificate(token, 'ca', ca, csr, validity)
  return { ca, csr, device, profile: await signTokenProfile(token, 'device') }
}

export const certificates = (): Promise<Hosts> => hosts()
export const csr = async (): Promise<Buffer> => (await hosts()).csr

/** Signed, and what it signs. */
export async function tokenProfile(): Promise<Buffer[]> {
  const { profile } = await hosts()
  const pair = decodeCbor(profile, 1 << 20, 'profile')
  const body = Array.isArray(pair) && pair[0] instanceof Uint8Array ? Buffer.from(pair[0]) : Buffer.alloc(0)
  decodeTokenProfile(body)
  return [profile, body, encodeCbor([body, Buffer.alloc(64)])]
}

export function settings(): Buffer[] {
  const value = {
    ca: '00ff',
    grantCounter: 1,
    wrongCodes: { count: 0, notBefore: 0 },
    heads: { ab: { number: 1, hash: '00' } },
    indexKeys: { ab: { suite: 16, encapsulated: '00', ciphertext: '00' } },
    credentials: { ab: { accessKey: 'A', sealedSecret: '00' } },
    unsigned: [{ at: 1, event: 'locked', detail: { a: 'b' } }],
  }
  return [Buffer.from(JSON.stringify(value))]
}

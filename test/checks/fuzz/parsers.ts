import { parseAclName } from '../../../access/acl/acl-name.ts'
import { encodeBoundAcl, parseBoundAcl } from '../../../access/acl/bound.ts'
import { parseCanned } from '../../../access/acl/canned.ts'
import { ACL_DOCUMENT, parseAclDocument } from '../../../access/acl/document.ts'
import { askOfForm, askOfHeaders } from '../../../access/acl/headers.ts'
import { encodeAcl, parseAcl } from '../../../access/acl/text.ts'
import { parseBasic } from '../../../access/basic.ts'
import { parseBearer } from '../../../access/bearer.ts'
import { type ChunkClaim, chainHolds, verifyChunk } from '../../../access/chunk-claim.ts'
import { parseExportAsk } from '../../../access/export-ask.ts'
import { AccessError } from '../../../access/fault.ts'
import { judgeForm, parseFormPolicy } from '../../../access/form-policy.ts'
import { parseFormSignature } from '../../../access/form-signature.ts'
import { parsePreconditions } from '../../../access/precondition.ts'
import { parseProof as parseSigV4, verifyProof as verifySigV4 } from '../../../access/proof.ts'
import { parseAmzTime } from '../../../access/time.ts'
import { parseXml } from '../../../access/xml.ts'
import { AgentError } from '../../../agent/fault.ts'
import { parseListen } from '../../../agent/serve.ts'
import { verifyCertificate } from '../../../hsm/certificate.ts'
import { readRequest } from '../../../hsm/csr.ts'
import { parsePkcs11Uri } from '../../../hsm/pkcs11-uri.ts'
import { decodeTokenProfile, verifyTokenProfile } from '../../../hsm/token-profile.ts'
import { readAttributes } from '../../../store/s3/attributes.ts'
import { decodeChunked } from '../../../store/s3/aws-chunked.ts'
import { readConditions, readPutCondition, readRange } from '../../../store/s3/conditions.ts'
import { S3Error } from '../../../store/s3/fault.ts'
import { openForm } from '../../../store/s3/form.ts'
import { readContentRange } from '../../../store/s3/resumable-verbs.ts'
import { decodePath, parseQuery, parseTarget } from '../../../store/s3/target.ts'
import { longXml, readXml } from '../../../store/s3/xml-in.ts'
import { FORMAT_PARSERS } from './format-parsers.ts'
import {
  basicSamples,
  bearerSamples,
  CLAIM_KEY,
  certificates,
  chunkedSamples,
  claims,
  csr,
  frames,
  headText,
  settings,
  sigV4Samples,
  tokenProfile,
} from './hosts.ts'
import { drain, eachOf, format, type Parser, token, utf8, wire } from './parser.ts'
import { readRemote, remoteSamples } from './remote.ts'
import { chunksOf, openSettings, requestOf } from './runs.ts'
import { text } from './samples.ts'

/**
 * Every parser of bytes that come from elsewhere, a line each. `covers` names the exported functions that the line runs; a house test wants
 * every exported `parse…` and `decode…` of format/, access/ and store/s3/ here.
 */
export const PARSERS: Parser[] = [
  ...FORMAT_PARSERS,
  wire('answers of a store elsewhere', [], remoteSamples, readRemote),
  wire('SigV4 header and query', ['parseProof'], sigV4Samples, bytes => {
    const proof = parseSigV4(requestOf(bytes))
    return proof && verifySigV4(proof, 'secret', new Date(0))
  }),
  wire('bearer', ['parseBearer'], bearerSamples, bytes => parseBearer(requestOf(bytes))),
  wire('name and password', ['parseBasic'], basicSamples, bytes => parseBasic(requestOf(bytes))),
  wire('SigV4 chunk claim', [], claims, bytes => {
    const [kind, time = '', date = '', region = '', previous = '', digest = '', signature = ''] =
      utf8(bytes).split('\n')
    const claim: ChunkClaim = {
      kind: kind === 'chunk' ? 'chunk' : 'trailer',
      time,
      date,
      region,
      previous,
      digest,
      signature,
    }
    return [verifyChunk(claim, CLAIM_KEY), chainHolds([claim, claim], { time, date, region }, previous)]
  }),
  wire(
    'SigV4 time',
    ['parseAmzTime'],
    () => text('20130524T000000Z'),
    bytes => parseAmzTime(utf8(bytes)),
  ),
  wire('HTTP target', ['parseTarget', 'parseQuery', 'decodePath'], headText, bytes => {
    const request = requestOf(bytes)
    return [parseTarget(request, 's3.example'), parseQuery(request.rawQuery), decodePath(request.rawPath)]
  }),
  wire('conditions and ranges', [], headText, bytes => {
    const request = requestOf(bytes)
    return [
      readConditions(request),
      readPutCondition(request),
      readRange(request.headers.find(([name]) => name.toLowerCase() === 'range')?.[1], 1000),
      readContentRange(request.headers[0]?.[1], 10),
    ]
  }),
  wire(
    'policy of a form',
    ['parseFormPolicy', 'parseFormSignature'],
    () =>
      text(
        '{"expiration":"2030-01-01T00:00:00Z","conditions":[{"bucket":"b"},["starts-with","$key","f\\$"],["content-length-range",0,9]]}',
        'policy: e30=\nx-amz-algorithm: AWS4-HMAC-SHA256\nx-amz-credential: AK/20260102/r/s3/aws4_request\nx-amz-date: 20260102T030405Z',
      ),
    bytes => {
      const lines = utf8(bytes)
        .split('\n')
        .map(line => line.split(': ', 2))
        .map(([name = '', value = '']): [string, string] => [name, value])
      eachOf(
        () => judgeForm(parseFormPolicy(bytes.toString('base64')), new Map(lines), 'b', 0),
        () => parseFormSignature(new Map(lines)),
      )
    },
  ),
  wire(
    'form',
    [],
    () =>
      text(
        '--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\nContent-Type: text/plain\r\n\r\nbytes\r\n--b--\r\n',
      ),
    async bytes => drain((await openForm('multipart/form-data; boundary=b', chunksOf(bytes))).file),
  ),
  wire(
    'order of an export',
    ['parseExportAsk'],
    () => text(`x-storage-export-job: ${'0a'.repeat(16)}\nx-storage-export-prefix: film/%C3%BC`),
    bytes => {
      const lines = utf8(bytes)
        .split('\n')
        .map(line => line.split(': ', 2))
      return parseExportAsk(lines.map(([name = '', value = '']) => [name, value] as const))
    },
  ),
  wire(
    'preconditions on generations',
    ['parsePreconditions'],
    () => text('x-goog-if-generation-match: 0', 'x-goog-if-metageneration-not-match: 9007199254740993'),
    bytes => {
      const [name = '', value = ''] = utf8(bytes).split(': ', 2)
      return parsePreconditions([[name, value]], 'x-goog-if-')
    },
  ),
  wire('object attributes', [], headText, bytes => readAttributes(requestOf(bytes))),
  wire(
    'XML',
    ['parseXml'],
    () => frames('xml'),
    bytes => parseXml(bytes, ACL_DOCUMENT),
  ),
  wire(
    'ACL document',
    ['parseAclDocument'],
    () =>
      text(
        '<AccessControlPolicy><Owner><ID>aa</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi="x" xsi:type="CanonicalUser"><ID>aa</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>',
        '<AccessControlList><Entries><Entry><Scope type="GroupByDomain"><Domain>example.com</Domain></Scope><Permission>FULL_CONTROL</Permission></Entry></Entries></AccessControlList>',
      ),
    bytes =>
      eachOf(
        () => parseAclDocument(bytes, 'bucket'),
        () => parseAclDocument(bytes, 'object'),
      ),
  ),
  wire(
    'ACL text',
    ['parseAcl', 'parseBoundAcl'],
    () => text('specific-overrides all=R group:9f=R+RA user:5f=FULL;name=Anna%20B', 'reference 0123456789abcdef#7'),
    bytes =>
      eachOf(
        () => encodeAcl(parseAcl(utf8(bytes))),
        () => encodeBoundAcl(parseBoundAcl(utf8(bytes))),
      ),
  ),
  wire(
    'ACL asked for in headers and forms',
    ['parseAclName', 'parseCanned'],
    () =>
      text(
        'x-storage-acl: b/o#1\nx-storage-acl-mode: reference',
        'x-amz-grant-read: id="a", uri="b"',
        'x-goog-acl: private',
      ),
    bytes => {
      const lines = utf8(bytes)
        .split('\n')
        .map(line => line.split(': ', 2))
        .map(([name = '', value = '']): [string, string] => [name, value])
      eachOf(
        () => askOfHeaders(lines),
        () => askOfForm(new Map(lines)),
        () => parseAclName(utf8(bytes)),
        () => parseCanned(utf8(bytes), 'google', 'object'),
      )
    },
  ),
  wire(
    'XML body',
    [],
    () => frames('xml'),
    bytes => readXml(chunksOf(bytes), longXml),
  ),
  wire('aws-chunked', ['decodeChunked'], chunkedSamples, async bytes => {
    for (const mode of [
      { signed: false, trailer: true },
      { signed: true, trailer: true },
      { signed: true, trailer: false },
    ])
      await drain(
        decodeChunked(chunksOf(bytes), {
          mode,
          length: bytes.length,
          trailers: ['x-amz-checksum-crc32'],
          onTrailer: () => undefined,
          chunks: {
            seed: { signature: 'f'.repeat(64), time: 't', date: 'd', region: 'r' },
            judge: async () => undefined,
          },
        }),
      ).catch(error => {
        if (!(error instanceof S3Error || error instanceof AccessError)) throw error
      })
  }),
  token(
    'PKCS#11 URI',
    ['parsePkcs11Uri'],
    () =>
      text(
        'pkcs11:token=a%20b;slot-id=3?module-path=/usr/lib/x.so&pin-source=file:/etc/pin',
        'pkcs11:serial=1;manufacturer=x',
      ),
    bytes => parsePkcs11Uri(utf8(bytes)),
  ),
  token(
    'certificate',
    [],
    async () => [(await certificates()).device],
    async bytes => verifyCertificate(bytes, (await certificates()).ca, new Date()),
  ),
  token(
    'authority',
    [],
    async () => [(await certificates()).ca],
    async bytes => verifyCertificate((await certificates()).device, bytes, new Date()),
  ),
  token('certificate request', [], async () => [await csr()], readRequest),
  token('token profile', ['decodeTokenProfile'], tokenProfile, bytes => {
    try {
      return decodeTokenProfile(bytes)
    } finally {
      verifyTokenProfile(bytes)
    }
  }),
  { ...format('device settings', [], settings, openSettings), throws: [AgentError] },
  {
    ...format(
      'listen address',
      [],
      () => text('127.0.0.1:9100', '[::1]:80', ':0'),
      bytes => parseListen(utf8(bytes)),
    ),
    throws: [AgentError],
  },
]

import { createHash } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { code, onFace } from './asking.ts'

const test = suite('S3 face: requests')
const on = onFace(test)

const LIST =
  '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"e"</ETag></Part></CompleteMultipartUpload>'
const requests: [string, Record<string, string>, string, number, string | undefined][] = [
  ['GET /', {}, '', 200, undefined],
  ['POST /', {}, '', 405, 'MethodNotAllowed'],
  ['GET //x', {}, '', 400, 'InvalidBucketName'],
  ['GET /none', {}, '', 404, 'NoSuchBucket'],
  ['HEAD /bkt', {}, '', 200, undefined],
  ['PUT /bkt', {}, '', 409, 'BucketAlreadyOwnedByYou'],
  ['PUT /Bad_Name', {}, '', 400, 'InvalidBucketName'],
  ['PUT /ab', {}, '', 400, 'InvalidBucketName'],
  ['DELETE /none', {}, '', 404, 'NoSuchBucket'],
  ['GET /bkt?location', {}, '', 200, undefined],
  ['GET /bkt?versioning', {}, '', 200, undefined],
  ['GET /bkt?acl', {}, '', 200, undefined],
  ['GET /bkt?policy', {}, '', 501, 'NotImplemented'],
  ['GET /bkt?tagging&acl', {}, '', 501, 'NotImplemented'],
  ['GET /bkt?x-id=ListObjects', {}, '', 200, undefined],
  ['PATCH /bkt', {}, '', 405, 'MethodNotAllowed'],
  ['GET /bkt?max-keys=x', {}, '', 400, 'InvalidArgument'],
  ['GET /bkt?list-type=2&continuation-token=*', {}, '', 400, 'InvalidArgument'],
  ['GET /bkt?list-type=2&continuation-token=', {}, '', 200, undefined],
  ['GET /bkt?list-type=2&continuation-token=', {}, '', 200, undefined],
  ['GET /bkt?encoding-type=base64', {}, '', 400, 'InvalidArgument'],
  ['GET /bkt?list-type=2&max-keys=0', {}, '', 200, undefined],
  ['GET /none?max-keys=0', {}, '', 404, 'NoSuchBucket'],
  ['GET /bkt/none', {}, '', 404, 'NoSuchKey'],
  ['GET /bkt/none?acl', {}, '', 404, 'NoSuchKey'],
  ['DELETE /bkt/none', {}, '', 204, undefined],
  ['GET /bkt/k?versionId=7', {}, '', 501, 'NotImplemented'],
  ['GET /bkt/%ff', {}, '', 400, 'InvalidURI'],
  ['GET /bkt/%zz', {}, '', 400, 'InvalidURI'],
  [`GET /bkt/${'k'.repeat(1025)}`, {}, '', 400, 'KeyTooLongError'],
  [`PUT /bkt/${'k'.repeat(1024)}`, {}, 'x', 200, undefined],
  ['PUT /bkt/k', { 'content-length': '' }, 'x', 400, 'InvalidArgument'],
  ['PUT /bkt/k', { 'content-length': '2' }, 'x', 400, 'IncompleteBody'],
  ['PUT /bkt/k', { 'content-md5': 'x' }, 'x', 400, 'InvalidDigest'],
  ['PUT /bkt/k', { 'content-md5': md5('y') }, 'x', 400, 'BadDigest'],
  ['PUT /bkt/k', { 'content-md5': md5('x') }, 'x', 200, undefined],
  ['PUT /bkt/k', { 'x-amz-content-sha256': '0'.repeat(64) }, 'x', 400, 'XAmzContentSHA256Mismatch'],
  ['PUT /bkt/k', { 'x-amz-checksum-crc32': 'AAAAAA==' }, 'x', 400, 'BadDigest'],
  ['PUT /bkt/k', { 'x-amz-checksum-crc32': 'AAAA' }, 'x', 400, 'InvalidRequest'],
  ['PUT /bkt/k', { 'x-amz-sdk-checksum-algorithm': 'CRC32' }, 'x', 400, 'InvalidRequest'],
  ['PUT /bkt/k', { 'x-amz-server-side-encryption': 'aws:kms' }, 'x', 501, 'NotImplemented'],
  ['PUT /bkt/k', { 'x-amz-storage-class': 'GLACIER' }, 'x', 501, 'NotImplemented'],
  ['PUT /bkt/k', { 'x-amz-acl': 'public-read-write' }, 'x', 501, 'NotImplemented'],
  ['PUT /bkt/k', { 'x-amz-meta-a': 'x'.repeat(2047) }, 'x', 200, undefined],
  ['PUT /bkt/k', { 'x-amz-meta-a': 'x'.repeat(2048) }, 'x', 400, 'MetadataTooLarge'],
  ['PUT /bkt/k', { 'if-none-match': '"e"' }, 'x', 501, 'NotImplemented'],
  ['PUT /bkt/k', { 'if-match': '"e"' }, 'x', 412, 'PreconditionFailed'],
  ['PUT /bkt/k', { 'if-none-match': '*' }, 'x', 200, undefined],
  ['PUT /none/k', {}, 'x', 404, 'NoSuchBucket'],
  ['PUT /bkt/k', { 'x-amz-copy-source': 'bkt' }, '', 400, 'InvalidArgument'],
  ['PUT /bkt/k', { 'x-amz-copy-source': 'bkt/none' }, '', 404, 'NoSuchKey'],
  ['PUT /bkt/k?partNumber=1&uploadId=none', {}, 'x', 404, 'NoSuchUpload'],
  ['PUT /bkt/k?partNumber=0&uploadId=none', {}, 'x', 400, 'InvalidArgument'],
  ['POST /bkt/k?uploadId=none', {}, '<CompleteMultipartUpload/>', 400, 'MalformedXML'],
  ['POST /bkt/k?uploadId=none', {}, LIST, 404, 'NoSuchUpload'],
  ['POST /bkt?delete', {}, '<Delete></Delete>', 400, 'MalformedXML'],
  ['POST /bkt?delete', {}, '<Delete><Object>', 400, 'MalformedXML'],
  ['POST /bkt?delete', {}, '<!DOCTYPE x><Delete><Object><Key>a</Key></Object></Delete>', 400, 'MalformedXML'],
  ['POST /bkt?delete', {}, `<Delete>${'<Object><Key>a</Key></Object>'.repeat(1000)}</Delete>`, 200, undefined],
  ['POST /bkt?delete', {}, `<Delete>${'<Object><Key>a</Key></Object>'.repeat(1001)}</Delete>`, 400, 'MalformedXML'],
  ['POST /bkt/k?uploads', { 'x-amz-checksum-algorithm': 'MD5' }, '', 400, 'InvalidRequest'],
  [
    'POST /bkt/k?uploads',
    { 'x-amz-checksum-algorithm': 'SHA256', 'x-amz-checksum-type': 'FULL_OBJECT' },
    '',
    400,
    'InvalidRequest',
  ],
]
for (const [line, headers, body, status, wanted] of requests) {
  on(
    `${line.slice(0, 60)} ${JSON.stringify(headers).slice(0, 60)} ${body.length} bytes: ${status} ${wanted ?? ''}`,
    async ask => {
      const answer = await ask(line, headers, body)
      assert.is(code(answer), wanted, answer.text)
      assert.is(answer.status, status)
      assert.match(answer.headers.get('x-amz-request-id') ?? '', /^[0-9A-F]{16}$/)
    },
  )
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('base64')
}

test.run()

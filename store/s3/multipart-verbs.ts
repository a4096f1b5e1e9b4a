import { createHash } from 'node:crypto'
import { childText, type XmlNode } from '../../access/xml.ts'
import type {
  Checksum,
  ChecksumName,
  CompletedPart,
  Finished,
  ObjectRecord,
  PartRecord,
  UploadChecksum,
  UploadId,
  UploadRecord,
} from '../object-store.ts'
import { StoreError } from '../object-store.ts'
import { checkAskedAcl } from './acl-verbs.ts'
import { readAttributes } from './attributes.ts'
import { emptyResponse, multipart, type ObjectCall, xmlResponse } from './call.ts'
import { checksumNames, combineCrcs, crcOf, isCombinable } from './checksum.ts'
import { bareTag, readPutCondition } from './conditions.ts'
import { checkAskedEncryption, checkNoCustomerKey, encryptionHeaders } from './encryption.ts'
import { S3Error } from './fault.ts'
import { generationHeaders, readGenerations } from './generations.ts'
import { header, type S3Response } from './message.ts'
import { openSource, readCopySource } from './object-verbs.ts'
import { checksumHeader, openPayload } from './payload.ts'
import { longXml, readXml } from './xml-in.ts'
import { element, s3Element, type Xml } from './xml-out.ts'

export async function createUpload(call: ObjectCall): Promise<S3Response> {
  const { request, bucket, key } = call
  const checksum = readUploadChecksum(call)
  checkAskedAcl(call)
  checkAskedEncryption(call)
  const upload = await multipart(call).createUpload(bucket, key, readAttributes(request), checksum)
  const headers: [string, string][] = checksum
    ? [
        ['x-amz-checksum-algorithm', checksum.name],
        ['x-amz-checksum-type', checksum.type],
      ]
    : []
  return xmlResponse(
    s3Element('InitiateMultipartUploadResult', [
      element('Bucket', bucket),
      element('Key', key),
      element('UploadId', upload.id),
    ]),
    headers,
  )
}

function readUploadChecksum({ request }: ObjectCall): UploadChecksum | undefined {
  const text = header(request, 'x-amz-checksum-algorithm')?.toUpperCase()
  const type = header(request, 'x-amz-checksum-type')?.toUpperCase()
  if (text === undefined) {
    if (type !== undefined) throw new S3Error('InvalidRequest', 'x-amz-checksum-type needs x-amz-checksum-algorithm.')
    return undefined
  }
  const name = checksumNames.find(known => known === text)
  if (!name) throw new S3Error('InvalidRequest', 'Checksum algorithm provided is unsupported.')
  const chosen = type ?? (name === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE')
  const possible = (chosen === 'FULL_OBJECT' && isCombinable(name)) || (chosen === 'COMPOSITE' && name !== 'CRC64NVME')
  if (!possible) throw new S3Error('InvalidRequest', `The ${chosen} checksum type cannot be used with ${name}.`)
  return { name, type: chosen === 'FULL_OBJECT' ? 'FULL_OBJECT' : 'COMPOSITE' }
}

/** The upload of the query, when it is one of this key. */
export async function findUpload(call: ObjectCall): Promise<UploadRecord> {
  const id = (call.query.get('uploadId') ?? '') as UploadId
  const { upload } = await multipart(call).listParts(id, 0, 1)
  if (upload.bucket !== call.bucket || upload.key !== call.key) {
    throw new StoreError('no-upload', 'The specified upload does not exist.')
  }
  return upload
}

function readPartNumber({ query }: ObjectCall): number {
  const text = query.get('partNumber') ?? ''
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (number < 1 || number > 10_000) {
    throw new S3Error('InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive')
  }
  return number
}

export async function uploadPart(call: ObjectCall): Promise<S3Response> {
  const number = readPartNumber(call)
  checkNoCustomerKey(call.request)
  const upload = await findUpload(call)
  const wanted = upload.checksum?.name
  const { body, length, finish } = await openPayload(call.request, call.admission, call.settings.etags, wanted)
  const part = await multipart(call).putPart(upload.id, number, body, {
    length,
    finish() {
      const finished = finish()
      if (wanted && finished.checksum?.name !== wanted) {
        throw new S3Error('InvalidRequest', `Checksum Type mismatch occurred, expected checksum Type: ${wanted}`)
      }
      return finished
    },
  })
  const headers = part.checksum
    ? [[checksumHeader(part.checksum.name), part.checksum.value] satisfies [string, string]]
    : []
  return emptyResponse(200, [['etag', `"${part.etag}"`], ...headers])
}

export async function uploadPartCopy(call: ObjectCall): Promise<S3Response> {
  const { request, store, admission } = call
  const number = readPartNumber(call)
  const upload = await findUpload(call)
  checkNoCustomerKey(call.request)
  const source = await readCopySource(call)
  const rangeText = header(request, 'x-amz-copy-source-range')
  if (rangeText !== undefined && !/^bytes=\d+-\d+$/.test(rangeText)) {
    throw new S3Error('InvalidArgument', 'The x-amz-copy-source-range value must be of the form bytes=first-last')
  }
  // a range of a GET is clipped to what is there; a part that is asked for is all of it or nothing
  if (Number(rangeText?.split('-')[1] ?? 0) >= Math.max(1, source.record.size))
    throw new S3Error('InvalidRange', `The range is not within the source's ${source.record.size} bytes`)
  const { body, size } = await openSource(store, source, rangeText)
  const carrier = { ...request, headers: [['content-length', String(size)] as const], body }
  const payload = await openPayload(carrier, { ...admission, payload: null }, 'md5', upload.checksum?.name)
  const part = await multipart(call).putPart(upload.id, number, payload.body, { length: size, finish: payload.finish })
  return xmlResponse(
    s3Element('CopyPartResult', [
      element('LastModified', part.modifiedAt.toISOString()),
      element('ETag', `"${part.etag}"`),
      ...partChecksum(part.checksum),
    ]),
  )
}

type WantedPart = CompletedPart & { checksums: Map<ChecksumName, string> }

export async function completeUpload(call: ObjectCall): Promise<S3Response> {
  const { admission, bucket, key } = call
  const payload = await openPayload(withoutChecksums(call), admission, 'md5')
  const root = await readXml(payload.body, longXml)
  payload.finish()
  const parts = readParts(root.children.filter(child => child.name === 'Part'))
  if (root.name !== 'CompleteMultipartUpload' || parts.length === 0) {
    throw new S3Error('MalformedXML', 'CompleteMultipartUpload with at least one Part expected.')
  }
  for (const [at, part] of parts.entries()) {
    if (part.partNumber <= (parts[at - 1]?.partNumber ?? 0)) {
      throw new S3Error('InvalidPartOrder', 'The list of parts was not in ascending order.')
    }
  }
  const record = (await completedBefore(call, parts)) ?? (await complete(call, parts))
  return xmlResponse(
    s3Element('CompleteMultipartUploadResult', [
      element('Location', `/${bucket}/${key}`),
      element('Bucket', bucket),
      element('Key', key),
      element('ETag', `"${record.etag}"`),
      ...(record.checksum
        ? [
            element(`Checksum${record.checksum.name}`, record.checksum.value),
            element('ChecksumType', record.checksum.type),
          ]
        : []),
    ]),
    [...generationHeaders(record), ...encryptionHeaders(record)],
  )
}

async function complete(call: ObjectCall, parts: WantedPart[]): Promise<ObjectRecord> {
  const upload = await findUpload(call)
  const condition = readPutCondition(call.request)
  const generations = readGenerations(call)
  return multipart(call).completeUpload(
    upload.id,
    parts.map(({ partNumber, etag }) => ({ partNumber, etag })),
    {
      finish: records => finishUpload(call, upload, parts, records),
      ...(condition && { condition }),
      ...(generations && { generations }),
    },
  )
}

/** A client whose answer was lost completes again, and is told what he was not told before: nothing is done twice. */
async function completedBefore(call: ObjectCall, parts: WantedPart[]): Promise<ObjectRecord | null> {
  const { bucket, key, query } = call
  const record = await multipart(call).completed(bucket, key, (query.get('uploadId') ?? '') as UploadId)
  return record?.etag === etagOf(parts) ? record : null
}

/** S3's rule: MD5 of the parts' MD5s, and their number. */
function etagOf(parts: { etag: string }[]): string {
  const md5 = createHash('md5')
  for (const part of parts) md5.update(Buffer.from(part.etag.slice(0, 32), 'hex'))
  return `${md5.digest('hex')}-${parts.length}`
}

/** The checksum headers of a completion speak of the object, not of the XML that is the body. */
function withoutChecksums({ request }: ObjectCall) {
  const headers = request.headers.filter(([name]) => !/^x-amz-(checksum-|sdk-checksum-)/i.test(name))
  return { ...request, headers }
}

function finishUpload(call: ObjectCall, upload: UploadRecord, wanted: WantedPart[], parts: PartRecord[]): Finished {
  for (const [at, part] of parts.entries()) {
    for (const [name, value] of wanted[at]?.checksums ?? []) {
      if (part.checksum?.name === name && part.checksum.value !== value) {
        throw new StoreError('invalid-part', `part ${part.partNumber} has another checksum`)
      }
    }
  }
  const size = parts.reduce((sum, part) => sum + part.size, 0)
  const announced = header(call.request, 'x-amz-mp-object-size')
  if (announced !== undefined && announced !== String(size)) {
    throw new S3Error('InvalidRequest', 'The x-amz-mp-object-size differs from the size of the parts.')
  }
  const etag = etagOf(parts)
  const checksum = upload.checksum && wholeChecksum(upload.checksum, parts)
  const sent = checksum && header(call.request, checksumHeader(checksum.name))
  if (checksum && sent !== undefined && sent !== checksum.value && sent !== checksum.value.replace(/-\d+$/, '')) {
    throw new S3Error('BadDigest', `The ${checksumHeader(checksum.name)} you specified did not match the parts.`)
  }
  return checksum ? { etag, checksum } : { etag }
}

/** Of the object from those of its parts; every part has one, as `uploadPart` takes it when the upload announced it. */
function wholeChecksum({ name, type }: UploadChecksum, parts: PartRecord[]): Checksum {
  const runs = parts.map(part => {
    if (part.checksum?.name !== name)
      throw new StoreError('invalid-part', `part ${part.partNumber} has no ${name} checksum`)
    return { crc: Buffer.from(part.checksum.value, 'base64'), size: part.size }
  })
  if (type === 'FULL_OBJECT' && isCombinable(name))
    return { name, type, value: combineCrcs(name, runs).toString('base64') }
  return {
    name,
    type: 'COMPOSITE',
    value: `${compositeOf(name, Buffer.concat(runs.map(run => run.crc)))}-${parts.length}`,
  }
}

function compositeOf(name: ChecksumName, values: Buffer): string {
  if (name === 'SHA1' || name === 'SHA256') return createHash(name.toLowerCase()).update(values).digest('base64')
  if (name === 'CRC64NVME') throw new S3Error('InvalidRequest', 'CRC64NVME has no composite form.')
  return crcOf(name, values).toString('base64')
}

function readParts(nodes: readonly XmlNode[]): WantedPart[] {
  return nodes.map(node => {
    const number = childText(node, 'PartNumber')?.trim() ?? ''
    const etag = childText(node, 'ETag')
    if (!/^\d{1,5}$/.test(number) || etag === undefined)
      throw new S3Error('MalformedXML', 'Part needs PartNumber and ETag.')
    const checksums = new Map<ChecksumName, string>()
    for (const name of checksumNames) {
      const value = childText(node, `Checksum${name}`)
      if (value !== undefined) checksums.set(name, value.trim())
    }
    return { partNumber: Number(number), etag: bareTag(etag), checksums }
  })
}

export async function abortUpload(call: ObjectCall): Promise<S3Response> {
  const upload = await findUpload(call)
  await multipart(call).abortUpload(upload.id)
  return emptyResponse(204)
}

export function partChecksum(checksum: Checksum | undefined): Xml[] {
  return checksum ? [element(`Checksum${checksum.name}`, checksum.value)] : []
}

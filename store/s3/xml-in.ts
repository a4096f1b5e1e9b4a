import { parseXml, type XmlLimits, type XmlNode } from '../../access/xml.ts'
import { S3Error } from './fault.ts'

/** 1,000 keys of 1,024 bytes, or 10,000 parts with checksums, do not fit into one MiB. */
export const longXml: XmlLimits = { bytes: 4 * 1024 * 1024, depth: 16, nodes: 80_000 }

/**
 * The document element of a small body.
 * @throws AccessError "malformed-xml"
 * @throws S3Error "EntityTooLarge"
 */
export async function readXml(body: AsyncIterable<Uint8Array>, limits: XmlLimits): Promise<XmlNode> {
  return parseXml(await readSmall(body, limits.bytes), limits)
}

/** A body that is wanted whole. @throws S3Error "EntityTooLarge" */
export async function readSmall(body: AsyncIterable<Uint8Array>, most: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > most) throw new S3Error('EntityTooLarge', `the document is longer than ${most} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

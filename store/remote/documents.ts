import { AccessError } from '../../access/fault.ts'
import { childText, parseXml, type XmlNode } from '../../access/xml.ts'

// What someone else's store says. Nothing of it is trusted further than it can be checked.

/** A page of a thousand keys of 1024 bytes, and what is said of each. */
export const LISTING_MOST = 8 << 20

const LIMITS = { bytes: LISTING_MOST, depth: 8, nodes: 30_000 }

/** The code in a refusal; empty where there is none. */
export function parseRemoteFault(document: Buffer): string {
  const root = rootOf(document)
  const code = root?.name === 'Error' ? (childText(root, 'Code') ?? '') : ''
  return /^[A-Za-z0-9.]{1,64}$/.test(code) ? code : ''
}

/** One page of what lies there. @returns null: it is none */
export function parseRemoteListing(
  document: Buffer,
): { objects: { key: string; modifiedAt: number }[]; next: string | null } | null {
  const root = rootOf(document)
  if (root?.name !== 'ListBucketResult') return null
  const objects = root.children
    .filter(child => child.name === 'Contents')
    .map(child => ({ key: childText(child, 'Key') ?? '', modifiedAt: timeIn(child, 'LastModified') }))
  return { objects, next: nextOf(root, 'NextContinuationToken') }
}

/** One page of uploads that were begun. @returns null: it is none */
export function parseRemoteUploads(document: Buffer): {
  uploads: { key: string; id: string; startedAt: number }[]
  next: { key: string; id: string } | null
} | null {
  const root = rootOf(document)
  if (root?.name !== 'ListMultipartUploadsResult') return null
  const uploads = root.children
    .filter(child => child.name === 'Upload')
    .map(child => ({
      key: childText(child, 'Key') ?? '',
      id: childText(child, 'UploadId') ?? '',
      startedAt: timeIn(child, 'Initiated'),
    }))
  const key = nextOf(root, 'NextKeyMarker')
  return { uploads, next: key === null ? null : { key, id: childText(root, 'NextUploadIdMarker') ?? '' } }
}

/** The id of an upload that was begun; null: none is said. */
export function parseRemoteUploadId(document: Buffer): string | null {
  const root = rootOf(document)
  const id = root?.name === 'InitiateMultipartUploadResult' ? childText(root, 'UploadId') : undefined
  return id === undefined || id === '' || id.length > 1024 ? null : id
}

/** Of an upload that was completed: it says so with 200, and may mean a fault. */
export function parseRemoteCompleted(document: Buffer): { etag: string } | null {
  const root = rootOf(document)
  if (root?.name !== 'CompleteMultipartUploadResult') return null
  return { etag: bareEtag(childText(root, 'ETag') ?? '') }
}

export function bareEtag(text: string): string {
  return text.trim().replace(/^"|"$/g, '').toLowerCase()
}

function rootOf(document: Buffer): XmlNode | null {
  try {
    return parseXml(document, LIMITS)
  } catch (error) {
    // "malformed-xml": the asker says what it was to be
    if (error instanceof AccessError) return null
    throw error
  }
}

function nextOf(root: XmlNode, name: string): string | null {
  if (childText(root, 'IsTruncated')?.trim() !== 'true') return null
  const next = childText(root, name) ?? ''
  return next === '' ? null : next
}

/** Now where it cannot be read: what is young is left alone. */
function timeIn(node: XmlNode, name: string): number {
  const time = Date.parse(childText(node, name) ?? '')
  return Number.isNaN(time) ? Number.POSITIVE_INFINITY : time
}

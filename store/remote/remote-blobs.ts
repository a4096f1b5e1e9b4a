import { hash, randomBytes } from 'node:crypto'
import type { PlainBlobs } from '../blobs.ts'
import { StoreError } from '../object-store.ts'
import { LISTING_MOST, parseRemoteListing, parseRemoteUploads } from './documents.ts'
import { openEndpoint } from './endpoint.ts'
import type { RemoteOptions } from './remote-settings.ts'
import { upload } from './upload.ts'

/**
 * Blobs in someone else's S3 store, under random names behind a prefix. A read is one ranged GET; nothing here judges what comes back
 * but its length: what is kept here is sealed.
 */
export type RemoteBlobs = PlainBlobs & {
  /** What lies there, page by page; ms since it was written, by the endpoint's own clock. */
  stored(): AsyncIterable<{ blob: string; ageMs: number }>
  /** Written or being written here, and neither kept nor removed. */
  arriving: ReadonlySet<string>
  /** Ends uploads that were begun so long ago and belong to nobody here. @returns how many */
  endUploads(olderThanMs: number): Promise<number>
  /** Says that the prefix is this store's. @throws StoreError "in-use" - it is another's */
  claim(mark: string): Promise<void>
  /** @throws StoreError "damaged" - the prefix is not, or no more, this store's */
  requireClaimed(mark: string): Promise<void>
  /** Gives the prefix back. */
  disclaim(): Promise<void>
  close(): void
}

const BLOB = /^[0-9a-f]{32}$/
const MARK = 'sealift-store'
const NO_BODY = 64 << 10

export function remoteBlobs(options: RemoteOptions): RemoteBlobs {
  const { name, settings } = options
  const endpoint = openEndpoint(options)
  const arriving = new Set<string>()

  const remove = async (key: string): Promise<void> => {
    const answer = await endpoint.ask({ method: 'DELETE', key, most: NO_BODY })
    if (answer.status >= 300 && answer.status !== 404) throw endpoint.refused('delete', answer)
  }
  const markThere = async (): Promise<string | null> => {
    const answer = await endpoint.ask({ method: 'GET', key: MARK, most: NO_BODY })
    if (answer.status === 404 && answer.code !== 'NoSuchBucket') return null
    if (answer.status !== 200) throw endpoint.refused(`show ${MARK}`, answer)
    return answer.body.toString('latin1')
  }

  return {
    async write(body) {
      const blob = randomBytes(16).toString('hex')
      arriving.add(blob)
      try {
        return { blob, size: await upload(endpoint, settings, blob, body) }
      } catch (error) {
        // one that is away is not waited for again; what it does not take back the sweep finds
        const removed = remove(blob).catch(() => undefined)
        if (!(error instanceof StoreError && error.fault === 'away')) await removed
        arriving.delete(blob)
        throw error
      }
    },
    async keep(blob) {
      arriving.delete(blob)
    },
    async remove(blob) {
      arriving.delete(blob)
      await remove(blob)
    },
    async open(blob) {
      return {
        read: (offset, length) => readRange(blob, offset, length),
        close: async () => undefined,
      }
    },
    arriving,
    async *stored() {
      for (let next: string | null = ''; next !== null; ) {
        const query = [
          ['list-type', '2'],
          ['max-keys', '1000'],
          ['prefix', settings.prefix],
          ...(next === '' ? [] : [['continuation-token', next] as const]),
        ] as const
        const answer = await endpoint.ask({ method: 'GET', query, most: LISTING_MOST })
        const page = answer.status === 200 ? parseRemoteListing(answer.body) : null
        if (page === null) throw endpoint.refused('list', answer)
        const now = nowOf(answer.headers.date)
        for (const { key, modifiedAt } of page.objects) {
          const blob = blobIn(key)
          if (blob !== null) yield { blob, ageMs: now - modifiedAt }
        }
        next = page.next
      }
    },
    async endUploads(olderThanMs) {
      let ended = 0
      for (let next: { key: string; id: string } | null = { key: '', id: '' }; next !== null; ) {
        const query = [
          ['uploads', ''],
          ['prefix', settings.prefix],
          ...(next.key === '' ? [] : ([['key-marker', next.key], ['upload-id-marker', next.id]] as const)), // biome-ignore format: one place
        ] as const
        const answer = await endpoint.ask({ method: 'GET', query, most: LISTING_MOST })
        // an endpoint that does not list them ends them by rules of its own
        if (answer.status === 501) return ended
        const page = answer.status === 200 ? parseRemoteUploads(answer.body) : null
        if (page === null) throw endpoint.refused('list uploads', answer)
        const now = nowOf(answer.headers.date)
        for (const { key, id, startedAt } of page.uploads) {
          const blob = blobIn(key)
          if (blob === null || arriving.has(blob) || now - startedAt < olderThanMs) continue
          const gone = await endpoint.ask({ method: 'DELETE', key: blob, query: [['uploadId', id]], most: NO_BODY })
          if (gone.status < 300) ended++
        }
        next = page.next
      }
      return ended
    },
    async claim(mark) {
      const there = await markThere()
      if (there === mark) return
      if (there !== null)
        throw new StoreError('in-use', `prefix "${settings.prefix}" in ${settings.bucket} is of another store`)
      const bytes = Buffer.from(mark, 'latin1')
      const body = { pieces: [bytes], size: bytes.length, sha256: hash('sha256', bytes, 'hex') }
      const answer = await endpoint.ask({
        method: 'PUT',
        key: MARK,
        headers: { 'if-none-match': '*' },
        body,
        most: NO_BODY,
      })
      if (answer.status !== 200 && answer.status !== 412) throw endpoint.refused('take a mark', answer)
      // of two that came at once one was first, and an endpoint may not know conditions
      if ((await markThere()) !== mark)
        throw new StoreError('in-use', `prefix "${settings.prefix}" in ${settings.bucket} is of another store`)
    },
    async requireClaimed(mark) {
      if ((await markThere()) === mark) return
      throw new StoreError('damaged', `data store ${name}: ${settings.prefix}${MARK} does not say that this is ours`)
    },
    disclaim: () => remove(MARK),
    close: endpoint.close,
  }

  function blobIn(key: string): string | null {
    const blob = key.startsWith(settings.prefix) ? key.slice(settings.prefix.length) : ''
    return BLOB.test(blob) ? blob : null
  }

  async function readRange(blob: string, offset: number, length: number): Promise<Buffer> {
    if (length === 0) return Buffer.alloc(0)
    const headers = { range: `bytes=${offset}-${offset + length - 1}` }
    const answer = await endpoint.ask({ method: 'GET', key: blob, headers, most: length })
    if (answer.status === 416) return Buffer.alloc(0)
    if (answer.status === 404) throw new StoreError('damaged', `data store ${name} has no blob ${blob} any more`)
    if (answer.status !== 206) throw endpoint.refused('give a range', answer)
    const said = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.headers['content-range'] ?? '')
    const wanted = Math.min(length, Number(said?.[3]) - offset)
    // a short or shifted answer is no end of the blob
    if (said === null || Number(said[1]) !== offset || answer.body.length !== wanted)
      throw new StoreError('damaged', `data store ${name} gives ${answer.body.length} bytes of ${length} of ${blob}`)
    return answer.body
  }
}

/** By the endpoint's clock, which dates what lies there; without one everything is young. */
function nowOf(date: string | undefined): number {
  const time = Date.parse(date ?? '')
  return Number.isNaN(time) ? Number.NEGATIVE_INFINITY : time
}

import { createHash } from 'node:crypto'
import { StoreError } from '../object-store.ts'
import { bareEtag, parseRemoteCompleted, parseRemoteUploadId } from './documents.ts'
import type { Endpoint, RemoteAnswer } from './endpoint.ts'
import { inParts, letGo, PARTS_MOST, type Part } from './parts.ts'
import type { RemoteSettings } from './remote-settings.ts'

const ANSWER_MOST = 64 << 10
const MD5 = /^[0-9a-f]{32}$/

/**
 * Writes a stream under the key: in one request where it fits one part, else in parts, one on its way while the next fills. Acknowledged
 * means: the endpoint was given SHA-256 (signed) and MD5 of every request's bytes, and what it says it holds is that.
 *
 * @returns bytes
 * @throws StoreError "away" | "damaged"; what is left after it is for the sweep
 */
export async function upload(
  endpoint: Endpoint,
  settings: RemoteSettings,
  key: string,
  body: AsyncIterable<Uint8Array>,
): Promise<number> {
  const parts = inParts(body, settings.partBytes)
  try {
    const { value: first } = await parts.next()
    if (first === undefined) throw new RangeError('a stream has a part at least')
    if (!first.last) return await inMany(endpoint, settings, key, first, parts, body)
    const answer = await put(endpoint, key, [], first)
    requireHeld(endpoint, settings, 'PUT', first.md5.toString('hex'), answer)
    if (settings.opaqueEtags) await requireSize(endpoint, key, first.size)
    letGo(first, body)
    return first.size
  } finally {
    await parts.return(undefined)
  }
}

function put(endpoint: Endpoint, key: string, query: [string, string][], part: Part): Promise<RemoteAnswer> {
  const headers = { 'content-md5': part.md5.toString('base64'), 'content-type': 'application/octet-stream' }
  return endpoint.ask({ method: 'PUT', key, query, headers, body: part, most: ANSWER_MOST })
}

async function inMany(
  endpoint: Endpoint,
  settings: RemoteSettings,
  key: string,
  first: Part,
  rest: AsyncIterable<Part>,
  body: AsyncIterable<Uint8Array>,
): Promise<number> {
  const begun = await endpoint.ask({ method: 'POST', key, query: [['uploads', '']], most: ANSWER_MOST })
  const id = begun.status === 200 ? parseRemoteUploadId(begun.body) : null
  if (id === null) throw endpoint.refused('begin an upload', begun)
  const done: { etag: string; md5: Buffer }[] = []
  let size = 0
  const send = async (part: Part, number: number): Promise<void> => {
    const answer = await put(endpoint, key, [['partNumber', String(number)], ['uploadId', id]], part) // biome-ignore format: one question
    requireHeld(endpoint, settings, 'take a part', part.md5.toString('hex'), answer)
    done.push({ etag: answer.headers.etag ?? '', md5: part.md5 })
    size += part.size
    letGo(part, body)
  }
  let number = 1
  let under = send(first, number)
  try {
    under.catch(() => undefined)
    for await (const part of rest) {
      await under
      if (++number > PARTS_MOST) throw new StoreError('full', `a blob is at most ${PARTS_MOST} parts long`)
      under = send(part, number)
      under.catch(() => undefined)
    }
    await under
    await complete(endpoint, settings, key, id, done, size)
    return size
  } catch (error) {
    await under.catch(() => undefined)
    // a part that comes after its upload's end would stay; what cannot be aborted now the sweep will find
    await endpoint.ask({ method: 'DELETE', key, query: [['uploadId', id]], most: ANSWER_MOST }).catch(() => undefined)
    throw error
  }
}

async function complete(
  endpoint: Endpoint,
  settings: RemoteSettings,
  key: string,
  id: string,
  parts: readonly { etag: string; md5: Buffer }[],
  size: number,
): Promise<void> {
  const list = parts.map(
    ({ etag }, at) => `<Part><PartNumber>${at + 1}</PartNumber><ETag>"${xmlText(bareEtag(etag))}"</ETag></Part>`,
  )
  const document = Buffer.from(`<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`, 'utf8')
  const sha256 = createHash('sha256').update(document).digest('hex')
  const answer = await endpoint.ask({
    method: 'POST',
    key,
    query: [['uploadId', id]],
    body: { pieces: [document], size: document.length, sha256 },
    most: ANSWER_MOST,
  })
  const completed = answer.status === 200 ? parseRemoteCompleted(answer.body) : null
  // asked again after an answer that was lost: the upload is gone, and the object is there
  const lost = answer.tried > 0 && answer.code === 'NoSuchUpload'
  if (completed === null && !lost) throw endpoint.refused('complete an upload', answer)
  const all = createHash('md5')
  for (const { md5 } of parts) all.update(md5)
  const etag = await requireSize(endpoint, key, size)
  const wanted = `${all.digest('hex')}-${parts.length}`
  if (!settings.opaqueEtags && etag !== wanted)
    throw new StoreError('damaged', `the endpoint made ${etag} of parts that are ${wanted}`)
}

function xmlText(text: string): string {
  return text.replace(/[&<>"]/g, each => `&#${each.charCodeAt(0)};`)
}

/** @throws StoreError "damaged" - refused, or something else was taken than was sent */
function requireHeld(
  endpoint: Endpoint,
  settings: RemoteSettings,
  what: string,
  md5: string,
  answer: RemoteAnswer,
): void {
  if (answer.status !== 200) throw endpoint.refused(what, answer)
  if (settings.opaqueEtags) return
  const etag = bareEtag(answer.headers.etag ?? '')
  if (etag === md5) return
  const why = MD5.test(etag) ? 'it holds other bytes than were sent' : 'its ETag is no MD5: is `opaque-etags` meant?'
  throw new StoreError('damaged', `data store: ${what}: ${why}`)
}

/** @returns the ETag */
async function requireSize(endpoint: Endpoint, key: string, size: number): Promise<string> {
  const answer = await endpoint.ask({ method: 'HEAD', key, most: 0 })
  if (answer.status !== 200) throw endpoint.refused('show what it acknowledged', answer)
  const found = Number(answer.headers['content-length'])
  if (found !== size) throw new StoreError('damaged', `the endpoint holds ${found} bytes of ${size} it acknowledged`)
  return bareEtag(answer.headers.etag ?? '')
}

/** Someone else's S3 store, in this process, that can be told to fail. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openFilesStore } from '../../../store/files-store.ts'
import type { MultipartStore } from '../../../store/object-store.ts'
import type { Patience, RemoteSettings } from '../../../store/remote/remote-settings.ts'
import { type Face, s3Face } from '../../../store/s3/face.ts'
import { localGate } from '../../../store/s3/gate.ts'
import { listen } from '../../../store/s3/listen.ts'
import type { S3Request, S3Response } from '../../../store/s3/message.ts'

export const KEYS = { accessKey: 'AKIDFARAWAY', secretKey: 'a secret of elsewhere' }
/** Tries at once, and gives up soon. */
export const SHORT: Patience = {
  attempts: 3,
  firstWaitMs: 1,
  longestWaitMs: 5,
  idleMs: 500,
  tryMs: 5000,
  leastBytesPerSecond: 1 << 20,
}
export const PART_BYTES = 5 << 20

export type FarSide = {
  settings: RemoteSettings
  store: MultipartStore
  /** requests, as `METHOD what`: what is object, part, upload, complete, list, uploads */
  asked: string[]
  /** what becomes of a request: its answer, or nothing in its stead */
  fault: ((what: string, go: () => Promise<S3Response>) => Promise<S3Response>) | null
  /** keys in its bucket */
  keys(): Promise<string[]>
  close(): Promise<void>
}

export async function openFarSide(): Promise<FarSide> {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-far-'))
  const store = await openFilesStore({ directory, clock: () => new Date() })
  await store.createBucket('far')
  const principal = { id: 'us', displayName: 'Us' }
  const gate = localGate({
    lookup: key => (key === KEYS.accessKey ? { secretKey: KEYS.secretKey, principal } : null),
    store: () => store,
    clock: () => new Date(),
  })
  const inner = s3Face({ gate, settings: { etags: 'md5', region: 'r1' }, onError: () => undefined })
  const face: Face = request => {
    const what = `${request.method} ${kindOf(request)}`
    far.asked.push(what)
    const go = () => inner(request)
    return far.fault === null ? go() : far.fault(what, go)
  }
  const listener = await listen({ face, host: '127.0.0.1', port: 0 })
  const far: FarSide = {
    settings: {
      url: listener.url,
      bucket: 'far',
      prefix: 'from/us/',
      region: 'r1',
      partBytes: PART_BYTES,
      opaqueEtags: false,
    },
    store,
    asked: [],
    fault: null,
    async keys() {
      const { objects } = await store.list('far', { prefix: '', limit: 1000 })
      return objects.map(each => each.key)
    },
    async close() {
      await listener.close({ graceSeconds: 0 })
      await store.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  return far
}

function kindOf({ method, rawPath, rawQuery }: S3Request): string {
  if (/uploadId=/.test(rawQuery)) return method === 'PUT' ? 'part' : method === 'POST' ? 'complete' : 'upload'
  if (/(^|&)uploads/.test(rawQuery)) return method === 'GET' ? 'uploads' : 'upload'
  if (rawQuery.includes('list-type')) return 'list'
  return rawPath.endsWith('sealift-store') ? 'mark' : 'object'
}

/** An answer of the far side. */
export function said(status: number, text = '', headers: [string, string][] = []): S3Response {
  return { status, headers, body: Buffer.from(text) }
}

/** The connection ends in the middle of an answer. */
export function cut(): S3Response {
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('<')
    throw new Error('cut')
  }
  return { status: 200, headers: [['content-length', '100']], body: broken() }
}

/** A fault that happens so many times. */
export function times(count: number, on: string, fault: FarSide['fault']): FarSide['fault'] {
  let left = count
  return async (what, go) => (what === on && fault !== null && left-- > 0 ? fault(what, go) : go())
}

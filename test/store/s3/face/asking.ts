import type * as uvu from 'uvu'
import * as assert from 'uvu/assert'
import { openMemoryStore } from '../../../../store/memory-store.ts'
import type { MultipartStore } from '../../../../store/object-store.ts'
import { type Face, s3Face } from '../../../../store/s3/face.ts'
import type { Gate } from '../../../../store/s3/gate.ts'
import type { S3Response } from '../../../../store/s3/message.ts'
import { collect } from '../../contract/bodies.ts'

export const clock = () => new Date('2026-01-02T03:04:05.678Z')
export const principal = { id: 'me', displayName: 'Me' }

export type Asked = { status: number; headers: Map<string, string>; text: string }
export type Ask = (line: string, headers?: Record<string, string>, body?: string | Buffer) => Promise<Asked>

/** A face on a store, everybody let in. */
export async function faceOn(store: MultipartStore, etags: 'md5' | 'cheap' = 'md5', hostSuffix?: string): Promise<Ask> {
  const gate: Gate = { admit: async () => ({ principal, store, payload: null }) }
  const settings = { etags, region: 'r1', ...(hostSuffix && { hostSuffix }) }
  return asker(s3Face({ gate, settings, onError: error => assert.unreachable(String(error)) }))
}

/** Asks with `METHOD /path?query`. */
export function asker(face: Face): Ask {
  return async (line, headers = {}, body = '') => {
    const [method = '', url = ''] = line.split(' ')
    const [rawPath = '', rawQuery = ''] = url.split('?')
    const bytes = Buffer.from(body)
    const all = {
      host: 'localhost',
      ...(bytes.length > 0 || method === 'PUT' ? { 'content-length': String(bytes.length) } : {}),
      ...headers,
    }
    async function* stream() {
      yield bytes
    }
    return readResponse(await face({ method, rawPath, rawQuery, headers: Object.entries(all), body: stream() }))
  }
}

async function readResponse({ status, headers, body }: S3Response): Promise<Asked> {
  const bytes = body === null ? Buffer.alloc(0) : body instanceof Uint8Array ? Buffer.from(body) : await collect(body)
  return { status, headers: new Map(headers), text: bytes.toString('utf8') }
}

/** A way to state facts of a face on a store of its own with the empty bucket `bkt`. */
export function onFace(test: uvu.Test) {
  return (title: string, run: (ask: Ask, store: MultipartStore) => Promise<void>, etags: 'md5' | 'cheap' = 'md5') =>
    test(title, async () => {
      const store = await openMemoryStore({ clock })
      await store.createBucket('bkt')
      await run(await faceOn(store, etags), store)
      await store.close()
    })
}

export const code = (answer: Asked) => /<Code>(\w+)<\/Code>/.exec(answer.text)?.[1]

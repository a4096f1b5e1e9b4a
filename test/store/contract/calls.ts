import {
  type ObjectAttributes,
  type ObjectRecord,
  type ObjectStore,
  type PutOptions,
  StoreError,
} from '../../../store/object-store.ts'
import { collect, md5, pieces } from './bodies.ts'

/** States a fact of every store: `run` gets an empty one with bucket `b`. */
export type On = (title: string, run: (store: ObjectStore) => Promise<void>) => void

export const plain: ObjectAttributes = { headers: {}, metadata: {} }

export function options(body: string | Buffer): PutOptions {
  return { attributes: plain, finish: () => ({ etag: md5(body) }) }
}

export function part(body: string | Buffer) {
  return { finish: () => ({ etag: md5(body) }) }
}

export function put(
  store: ObjectStore,
  key: string,
  body: string | Buffer,
  changed: Partial<PutOptions> = {},
  bucket = 'b',
): Promise<ObjectRecord> {
  return store.put(bucket, key, pieces(Buffer.from(body)), { ...options(body), ...changed })
}

export async function text(store: ObjectStore, key: string): Promise<string | undefined> {
  const read = await store.get('b', key)
  return read ? (await collect(read.body)).toString('utf8') : undefined
}

export async function fault(call: Promise<unknown>): Promise<string | undefined> {
  const error = await caught(call)
  if (error === undefined || error instanceof StoreError) return error?.fault
  throw error
}

export async function caught(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    error => error,
  )
}

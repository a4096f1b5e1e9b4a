import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as s3 from '@aws-sdk/client-s3'
import { openFilesStore } from '../../../../store/files-store.ts'
import type { MultipartStore } from '../../../../store/object-store.ts'
import { s3Face } from '../../../../store/s3/face.ts'
import { localGate } from '../../../../store/s3/gate.ts'
import { type Listener, listen } from '../../../../store/s3/listen.ts'

export const credentials = { accessKey: 'AKIDEXAMPLE', secretKey: 'a secret/with+signs' }
export const at = { Bucket: 'bkt' }

/** A store of files behind a socket, and a client of it; it has the bucket `bkt`. */
export type Served = {
  directory: string
  store: MultipartStore
  listener: Listener
  client: s3.S3Client
  clientWith(secretKey: string): s3.S3Client
  /** what the face reported */
  errors: unknown[]
  close(): Promise<void>
}

export async function serveFiles(): Promise<Served> {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-s3-'))
  const errors: unknown[] = []
  const store = await openFilesStore({ directory, clock: () => new Date() })
  const principal = { id: 'me', displayName: 'Me' }
  const gate = localGate({
    lookup: key => (key === credentials.accessKey ? { secretKey: credentials.secretKey, principal } : null),
    store: () => store,
    clock: () => new Date(),
  })
  const face = s3Face({ gate, settings: { etags: 'md5', region: 'r1' }, onError: error => errors.push(error) })
  const listener = await listen({ face, host: '127.0.0.1', port: 0, idleSeconds: 1 })
  const clientWith = (secretAccessKey: string) =>
    new s3.S3Client({
      endpoint: listener.url,
      region: 'eu-anything-1',
      forcePathStyle: true,
      maxAttempts: 1,
      credentials: { accessKeyId: credentials.accessKey, secretAccessKey },
    })
  const client = clientWith(credentials.secretKey)
  await client.send(new s3.CreateBucketCommand(at))
  return {
    directory,
    store,
    listener,
    client,
    clientWith,
    errors,
    async close() {
      client.destroy()
      await listener.close({ graceSeconds: 0 })
      await listener.close()
      await store.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Whether all that was reported is a client that went away or stalled. */
export function onlyLeftEarly(errors: readonly unknown[]): boolean {
  return errors.every(
    error =>
      error instanceof Error &&
      /aborted|stalled|ECONNRESET/.test(`${error.message} ${'code' in error ? error.code : ''}`),
  )
}

export async function code(call: Promise<unknown>): Promise<string | undefined> {
  return call.then(
    () => undefined,
    error => (error instanceof Error ? error.name : String(error)),
  )
}

export function md5(text: string): string {
  return createHash('md5').update(text).digest('hex')
}

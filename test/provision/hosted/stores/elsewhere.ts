/** A hosted store of which bucket `b` has its bodies in a store elsewhere, and both are in this process. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { signRequest } from '../../../../access/sign.ts'
import { type Hosted, openHosted } from '../../../../provision/hosted/serve.ts'
import { StoreError } from '../../../../store/object-store.ts'
import { collect } from '../../../store/contract/bodies.ts'
import { bytesOf, PLAIN, readAll } from '../../../store/pack/device.ts'
import { type FarSide, KEYS, openFarSide, SHORT } from '../../../store/remote/far-side.ts'
import { openAuthority } from '../../authority.ts'

export const authority = openAuthority()
const caller = authority.callerOf('acme')
const keys = authority.addKey('acme', 'Acme')
export let directory: string
export let far: FarSide
export let hosted: Hosted
/** what was said to the log */
export const errors: string[] = []
export const mine = () => hosted.store(caller)
export const open = async () => {
  const onError = (error: unknown) => void errors.push(error instanceof Error ? error.message : String(error))
  const config = { directory, region: 'r1', clock: () => new Date(), onError, patience: SHORT }
  hosted = await openHosted(config, authority)
}
export const restart = async () => {
  await hosted.close()
  await open()
}
export const put = (key: string, body: string | Buffer, bucket = 'b') =>
  mine().put(bucket, key, bytesOf(body), { attributes: PLAIN, finish: () => ({ etag: 'e' }) })
export const get = async (key: string, range?: { first: number; last: number }, bucket = 'b') => {
  const read = await mine().get(bucket, key, range)
  assert.ok(read, key)
  return readAll(read.body)
}
/** Of the far side, without its mark. */
export const away = async () => (await far.keys()).filter(key => !key.endsWith('sealift-store'))
export const until = async (done: () => Promise<boolean>) => {
  for (let turn = 0; turn < 200 && !(await done()); turn++) await new Promise(resolve => setTimeout(resolve, 20))
  assert.ok(await done())
}
export const line = async (name: string) => (await hosted.dataStores.list()).find(each => each.name === name)
export const faultOf = (work: Promise<unknown>) =>
  work.then(
    () => 'none',
    error => (error instanceof StoreError ? error.fault : String(error)),
  )
/** Over the face, as a client has it. */
export const ask = async (method: string, rawPath: string, body = '') => {
  const head = { method, rawPath, rawQuery: '', headers: [['host', 'h'], ['content-length', `${body.length}`]] as const } // biome-ignore format: a request
  const signed = signRequest({ ...head, headers: head.headers.map(([name, value]) => [name, value] as const) }, keys, {
    region: 'r1',
    time: new Date(),
    payload: 'UNSIGNED-PAYLOAD',
  })
  const answer = await hosted.face({ ...signed, body: bytesOf(body), remote: '192.0.2.1' })
  const { status } = answer
  if (answer.body === null || answer.body instanceof Uint8Array) return { status, text: String(answer.body ?? '') }
  return { status, text: String(await collect(answer.body).catch(error => `cut: ${error.message}`)) }
}

export async function begin(): Promise<void> {
  errors.length = 0
  directory = mkdtempSync(join(tmpdir(), 'sealift-away-'))
  far = await openFarSide()
  await open()
  await hosted.dataStores.add('away', far.settings, KEYS)
  for (const bucket of ['b', 'near']) await mine().createBucket(bucket)
  await hosted.dataStores.place('b', { store: 'away', inlineMax: 0 })
}

export async function end(): Promise<void> {
  await hosted.close()
  await far.close()
  rmSync(directory, { recursive: true, force: true })
}

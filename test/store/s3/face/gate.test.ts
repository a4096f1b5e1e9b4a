import { createHash } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { signRequest } from '../../../../access/sign.ts'
import { openMemoryStore } from '../../../../store/memory-store.ts'
import { s3Face } from '../../../../store/s3/face.ts'
import { localGate } from '../../../../store/s3/gate.ts'
import { asker, clock, code, faceOn, principal } from './asking.ts'

const test = suite('S3 face: hosts and the gate')

test('a host under the suffix names the bucket, any other host does not', async () => {
  const store = await openMemoryStore({ clock })
  await store.createBucket('bkt')
  const ask = await faceOn(store, 'md5', 's3.example')
  await ask('PUT /k', { host: 'bkt.s3.example:9100' }, 'x')
  assert.is((await ask('GET /bkt/k', { host: 's3.example' })).text, 'x')
  assert.is((await ask('GET /bkt/k', { host: 'bkt.other.example' })).text, 'x')
})

test('the local gate: anonymous only where allowed, unknown key, wrong secret, signed payload bound', async () => {
  const store = await openMemoryStore({ clock })
  await store.createBucket('bkt')
  const options = {
    lookup: (key: string) => (key === 'AK' ? { secretKey: 's', principal } : null),
    store: () => store,
    clock,
  }
  const settings = { etags: 'md5', region: 'r' } as const
  const ask = asker(s3Face({ gate: localGate(options), settings, onError: () => undefined }))
  assert.is(code(await ask('GET /bkt')), 'AccessDenied')
  const open = asker(s3Face({ gate: localGate({ ...options, anonymous: store }), settings, onError: () => undefined }))
  assert.is((await open('GET /bkt')).status, 200)
  await store.put('bkt', 'k', (async function* () {})(), {
    attributes: { headers: {}, metadata: {} },
    finish: () => ({ etag: 'e' }),
  })
  assert.is(code(await open('GET /bkt/k?response-expires=x')), 'InvalidRequest')
  const signed = (accessKey: string, secretKey: string, body: string) => {
    const payload = createHash('sha256').update(body).digest('hex')
    const request = { method: 'PUT', rawPath: '/bkt/k', rawQuery: '', headers: [['host', 'localhost']] as const }
    return Object.fromEntries(
      signRequest(request, { accessKey, secretKey }, { region: 'r', time: clock(), payload }).headers,
    )
  }
  assert.is((await ask('PUT /bkt/k', signed('AK', 's', 'x'), 'x')).status, 200)
  assert.is(code(await ask('PUT /bkt/k', signed('AK', 's', 'x'), 'y')), 'XAmzContentSHA256Mismatch')
  assert.is(code(await ask('PUT /bkt/k', signed('AK', 'z', 'x'), 'x')), 'SignatureDoesNotMatch')
  assert.is(code(await ask('PUT /bkt/k', signed('BK', 's', 'x'), 'x')), 'InvalidAccessKeyId')
})

test.run()

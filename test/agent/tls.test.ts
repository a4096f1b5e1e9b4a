import { createHash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { serve } from '../quickstart/commands.ts'
import { sealift } from './agent.ts'
import { prepareDevice } from './prepared.ts'

const test = suite('the endpoint beyond loopback')

type Ready = { s3: string; port: number; tlsFingerprint: string | null }

test('speaks https only, with a key of its own whose fingerprint it says', async () => {
  const device = await prepareDevice()
  const agent = await serve<Ready>(
    'sealift',
    ['--state', device.state, '--drive', device.drive, '--code-fd', '3', 'serve', '--listen', '0.0.0.0:0'],
    { secret: device.code },
  )
  try {
    const { s3, port, tlsFingerprint } = agent.ready
    assert.match(s3, /^https:/)
    const ca = readFileSync(join(device.state, 'tls.crt'))
    assert.is(createHash('sha256').update(new X509Certificate(ca).raw).digest('hex'), tlsFingerprint)
    assert.is(statSync(join(device.state, 'tls.key')).mode & 0o777, 0o600)
    const outgoing = request({ host: 'localhost', port, path: '/b', ca })
    outgoing.end()
    const [answer] = await once(outgoing, 'response')
    answer.resume()
    assert.is(answer.statusCode, 403)
    const plain = await fetch(`http://127.0.0.1:${port}/b`).then(
      found => found.status,
      () => 'no plain HTTP',
    )
    assert.is(plain, 'no plain HTTP')
    const status = JSON.parse((await sealift(device, ['--json', 'status'])).stdout)
    assert.is(status.state, 'open')
  } finally {
    await agent.stop()
    await device.remove()
  }
})

test.run()

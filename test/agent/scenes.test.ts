// timeout: 180s, test 60s
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../quickstart/commands.ts'
import { s3Client } from '../s3-client.ts'
import { sealift, startAgent } from './agent.ts'
import { prepareDevice } from './prepared.ts'

const scene = suite('a device at the customer’s site')

scene(
  'it arrives: locked, tells what it is, takes nothing, and a wrong code is counted, delayed and logged',
  async () => {
    const device = await prepareDevice()
    try {
      const status = JSON.parse((await sealift(device, ['--json', 'status'])).stdout)
      assert.is(status.state, 'locked')
      assert.is(status.mode, 'write-only')
      assert.match(status.modeInWords, 'cannot be read back')

      const agent = await startAgent(device, { locked: true })
      const client = s3Client(agent.url, { accessKey: 'SLDNOBODY', secretKey: 'x' })
      const refused = await client.put('b', 'k', 'x')
      assert.is(refused.status, 403)
      assert.match(refused.body.toString(), 'locked')

      const mistyped = await sealift(
        device,
        ['unlock'],
        `${device.code.slice(0, -1)}${device.code.endsWith('0') ? '1' : '0'}`,
      )
      assert.is(mistyped.code, 77)
      assert.match(mistyped.stderr, 'mistyped')
      const wrong = await sealift(device, ['unlock'], '00000-00000-00000-00000-00000')
      assert.is(wrong.code, 77)
      assert.match(wrong.stderr, 'try 1')
      const soon = await sealift(device, ['unlock'], device.code)
      assert.is(soon.code, 77)
      assert.match(soon.stderr, 'try again in')
      await new Promise(resolve => setTimeout(resolve, 1100))
      assert.is((await sealift(device, ['unlock'], device.code)).code, 0)
      assert.is(JSON.parse((await sealift(device, ['--json', 'status'])).stdout).state, 'open')
      client.close()
      assert.is(await agent.stop(), 0)
      // the wrong try stands in the custody log on the drive, signed
      const log = readFileSync(join(device.drive, 'custody.log')).toString('latin1')
      assert.match(log, 'wrong-code')
      assert.ok(log.indexOf('wrong-code') < log.indexOf('unlocked'))
    } finally {
      await device.remove()
    }
  },
)

scene(
  'objects are put, listed, headed, read while their epoch is open, and answered 403 InvalidObjectState after it',
  async () => {
    const device = await prepareDevice()
    try {
      const agent = await startAgent(device)
      const client = s3Client(agent.url, JSON.parse((await sealift(device, ['--json', 'credentials'])).stdout))
      const large = randomBytes(3_000_000)
      assert.is((await client.put('photos', 'a/one.txt', 'one', { 'x-amz-meta-who': 'me' })).status, 200)
      assert.is((await client.put('photos', 'large', large)).status, 200)
      assert.is((await client.get('photos', 'a/one.txt')).body.toString(), 'one')
      assert.equal(
        (await client.get('photos', 'large', { range: 'bytes=262100-524400' })).body,
        large.subarray(262_100, 524_401),
      )
      assert.is((await client.send('PUT', '/other')).status, 403)
      assert.is((await client.send('GET', '/b', { anonymous: true })).status, 403)

      const { stdout } = await sealift(device, ['lock'])
      assert.match(stdout, 'locked')
      assert.is((await sealift(device, ['unlock'], device.code)).code, 0)
      assert.equal(await client.keys('photos'), ['a/one.txt', 'large'])
      const head = await client.send('HEAD', '/photos/a/one.txt')
      assert.is(head.status, 200)
      assert.is(head.headers['content-length'], '3')
      assert.is(head.headers['x-amz-meta-who'], 'me')
      const closed = await client.get('photos', 'a/one.txt')
      assert.is(closed.status, 403)
      assert.match(closed.body.toString(), '<Code>InvalidObjectState</Code>')
      // overwriting and deleting still work
      assert.is((await client.put('photos', 'a/one.txt', 'two')).status, 200)
      assert.is((await client.get('photos', 'a/one.txt')).body.toString(), 'two')
      assert.is((await client.send('DELETE', '/photos/large')).status, 204)
      assert.equal(await client.keys('photos'), ['a/one.txt'])
      client.close()
      assert.is(await agent.stop(), 0)
    } finally {
      await device.remove()
    }
  },
)

scene('a readable job reads back what closed epochs hold, with the code in hand', async () => {
  const device = await prepareDevice({ mode: 'readable' })
  try {
    let agent = await startAgent(device)
    const client = s3Client(agent.url, JSON.parse((await sealift(device, ['--json', 'credentials'])).stdout))
    await client.put('b', 'k', 'kept')
    const credentials = JSON.parse((await sealift(device, ['--json', 'credentials'])).stdout)
    client.close()
    assert.is(await agent.stop(), 0)
    agent = await startAgent(device)
    const again = s3Client(agent.url, credentials)
    assert.is((await again.get('b', 'k')).body.toString(), 'kept')
    again.close()
    assert.is(await agent.stop(), 0)
  } finally {
    await device.remove()
  }
})

scene(
  'a directory is copied: links, odd names and pipes are reported, what is there is kept, what changed is sealed anew',
  async () => {
    const device = await prepareDevice()
    try {
      const source = join(device.root, 'source')
      mkdirSync(join(source, 'deep/er'), { recursive: true })
      writeFileSync(join(source, 'plain.txt'), 'plain')
      writeFileSync(join(source, 'empty'), '')
      writeFileSync(join(source, 'deep/er/ümläut 100%+.txt'), 'odd')
      writeFileSync(Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0x62, 0xff, 0x64])]), 'not UTF-8')
      writeFileSync(join(source, 'big'), randomBytes(2_000_000))
      symlinkSync('plain.txt', join(source, 'link'))
      symlinkSync('/nowhere', join(source, 'dangling'))
      execFileSync('mkfifo', [join(source, 'pipe')])

      const first = await sealift(device, ['--json', 'copy', source, 's3://photos/in'], device.code)
      assert.is(first.code, 0, first.stderr)
      const result = JSON.parse(first.stdout)
      assert.is(result.files, 5)
      assert.is(result.links, 2)
      assert.is(result.skipped, 1)
      assert.is(result.renamed, 1)
      assert.match(first.stderr, 'pipe: a fifo has no content')
      assert.match(first.stderr, 'in/b%FFd')

      const bytes = packBytes(device.drive)
      const second = JSON.parse(
        (await sealift(device, ['--json', 'copy', source, 's3://photos/in'], device.code)).stdout,
      )
      assert.is(second.kept, 7)
      assert.is(second.bytes, 0)
      assert.ok(packBytes(device.drive) - bytes < 4096, 'nothing is sealed again')

      writeFileSync(join(source, 'plain.txt'), 'changed')
      utimesSync(join(source, 'empty'), new Date(), new Date(1_700_000_000_000))
      const third = JSON.parse(
        (await sealift(device, ['--json', 'copy', source, 's3://photos/in'], device.code)).stdout,
      )
      assert.is(third.kept, 5)
      assert.is(third.bytes, 7)
    } finally {
      await device.remove()
    }
  },
)

scene('it is sealed: a code is shown, writes are refused until it is reopened, and the drive checks out', async () => {
  const device = await prepareDevice()
  try {
    const agent = await startAgent(device)
    const client = s3Client(agent.url, JSON.parse((await sealift(device, ['--json', 'credentials'])).stdout))
    for (let count = 0; count < 20; count++) await client.put('b', `k${count}`, `content ${count}`)
    const started = await client.send('POST', '/b/unfinished', { query: 'uploads=' })
    assert.is(started.status, 200)
    const sealed = JSON.parse((await sealift(device, ['--json', 'seal'])).stdout)
    assert.match(sealed.code, /^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}$/)
    assert.is(sealed.objects, 20)
    assert.equal(sealed.unfinished, [{ bucket: 'b', key: 'unfinished' }])
    assert.is(JSON.parse(readFileSync(join(device.drive, 'seal.json'), 'utf8')).code, sealed.code)
    const refused = await client.put('b', 'late', 'x')
    assert.is(refused.status, 403)
    assert.match(refused.body.toString(), 'sealed')
    // sealing again says the same
    assert.is(JSON.parse((await sealift(device, ['--json', 'seal'])).stdout).code, sealed.code)

    // one object's place under the seal, shown without the others
    const file = join(device.root, 'k7.proof')
    assert.is((await sealift(device, ['proof', 's3://b/k7', '--output', file])).code, 0)
    const proved = await run('sealift-verify', ['--json', 'proof', file])
    assert.is(proved.code, 0, proved.stderr + proved.stdout)
    const forged = JSON.parse(readFileSync(file, 'utf8'))
    writeFileSync(file, JSON.stringify({ ...forged, index: forged.index + 1 }))
    assert.is((await run('sealift-verify', ['proof', file])).code, 65)

    assert.is((await sealift(device, ['reopen'])).code, 0)
    assert.is((await client.put('b', 'late', 'x')).status, 200)
    const again = JSON.parse((await sealift(device, ['--json', 'seal'])).stdout)
    assert.is(again.objects, 21)
    assert.is.not(again.code, sealed.code)
    client.close()
    assert.is(await agent.stop(), 0)
    const verified = JSON.parse((await sealift(device, ['--json', 'verify'], device.code)).stdout)
    assert.is(verified.checked, 21)
    assert.is(verified.damagedCount, 0)
  } finally {
    await device.remove()
  }
})

scene('two agents never share a device, and a missing drive is named', async () => {
  const device = await prepareDevice()
  try {
    const agent = await startAgent(device)
    const other = await sealift({ state: join(device.root, 'elsewhere'), drive: device.drive }, ['status'])
    assert.is(other.code, 75, other.stderr)
    assert.match(other.stderr, 'in use by process')
    assert.is(await agent.stop(), 0)
    const gone = await sealift({ state: device.state, drive: join(device.root, 'nothing') }, ['status'])
    assert.is(gone.code, 69)
    assert.match(gone.stderr, 'is it plugged in')
  } finally {
    await device.remove()
  }
})

scene('no name, content or key of the customer is on the drive or in the state directory', async () => {
  const device = await prepareDevice()
  try {
    const source = join(device.root, 'source')
    mkdirSync(join(source, 'CANARYdirectory'), { recursive: true })
    for (let count = 0; count < 50; count++)
      writeFileSync(
        join(source, 'CANARYdirectory', `CANARYname${count}`),
        `CANARYcontent ${'CANARYtext '.repeat(count * 10)}`,
      )
    assert.is((await sealift(device, ['copy', source, 's3://photos/CANARYprefix'], device.code)).code, 0)
    assert.is((await sealift(device, ['seal'], device.code)).code, 0)
    const needles = ['CANARY', device.code, device.code.replaceAll('-', '')]
    let searched = 0
    for (const root of [device.drive, device.state])
      for (const file of readdirSync(root, { recursive: true, withFileTypes: true })) {
        if (!file.isFile()) continue
        const bytes = readFileSync(join(file.parentPath, file.name))
        searched += bytes.length
        for (const needle of needles) assert.not.ok(bytes.includes(needle), `${needle} is in ${file.name}`)
        assert.not.ok(file.name.includes('CANARY'))
      }
    assert.ok(searched > 50_000)
  } finally {
    await device.remove()
  }
})

function packBytes(drive: string): number {
  return readdirSync(join(drive, 'packs')).reduce((sum, name) => sum + statSync(join(drive, 'packs', name)).size, 0)
}

scene.run()

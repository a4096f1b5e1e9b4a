// timeout: 240s, test 200s
import { createHash, randomInt } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { s3Client } from '../s3-client.ts'
import { sealift, startAgent } from './agent.ts'
import { prepareDevice } from './prepared.ts'

const test = suite('killing the agent')
const ROUNDS = 50
const WRITERS = 8

/** Content follows from the key, so whoever reads a key knows what must be there. */
function contentOf(key: string): Buffer {
  const seed = createHash('sha256').update(key).digest()
  const size = seed.readUInt8(0) < 8 ? 1_300_000 + seed.readUInt16BE(1) : seed.readUInt16BE(1) % 3000
  return Buffer.alloc(size, seed)
}

test(`${ROUNDS} times kill -9 during concurrent PUTs: what was acknowledged is there and right, nothing is half there`, async () => {
  // epochs of 25 objects: kills fall on their beginnings and ends too
  const prepared = await prepareDevice({ mode: 'readable', limits: { objects: 25 } })
  try {
    const acknowledged = new Set<string>()
    let fresh: string[] = []
    let visible = 0
    let credentials = { accessKey: '', secretKey: '' }
    for (let round = 0; round <= ROUNDS; round++) {
      if (round % 7 === 3)
        for (const name of readdirSync(prepared.state).filter(each => each.startsWith('index-')))
          rmSync(join(prepared.state, name))
      const agent = await startAgent(prepared)
      if (round === 0) credentials = JSON.parse((await sealift(prepared, ['--json', 'credentials'])).stdout)
      const client = s3Client(agent.url, credentials)
      const last = round === ROUNDS
      const listed = new Set(await client.keys('b'))
      for (const key of acknowledged) assert.ok(listed.has(key), `round ${round}: ${key} was acknowledged and is gone`)
      // all that the last kill touched, and everything at the end: each must be whole
      for (const key of last
        ? listed
        : new Set([...fresh, ...[...listed].filter(each => each.startsWith(`r${round - 1}-`))])) {
        const { status, body } = await client.get('b', key)
        assert.is(status, 200, `round ${round}: ${key}`)
        assert.ok(body.equals(contentOf(key)), `round ${round}: ${key} is not what was put`)
      }
      fresh = []
      visible = listed.size
      if (last) {
        client.close()
        assert.is(await agent.stop(), 0)
        break
      }
      let stopped = false
      const writers = Array.from({ length: WRITERS }, async (_, writer) => {
        for (let count = 0; !stopped; count++) {
          const key = `r${round}-w${writer}-${count}`
          try {
            const { status } = await client.put('b', key, contentOf(key))
            if (status === 200) {
              acknowledged.add(key)
              fresh.push(key)
            }
          } catch {
            return // the agent died under this PUT: it was not acknowledged
          }
        }
      })
      await delay(randomInt(5, 150))
      await agent.kill()
      stopped = true
      await Promise.all(writers)
      client.close()
    }
    assert.ok(acknowledged.size > ROUNDS, `only ${acknowledged.size} PUTs were acknowledged`)
    const sealed = await sealift(prepared, ['--json', 'seal'], prepared.code)
    assert.is(sealed.code, 0, sealed.stderr)
    assert.is(JSON.parse(sealed.stdout).objects, visible, 'the seal counts every object that is there')
  } finally {
    await prepared.remove()
  }
})

test.run()

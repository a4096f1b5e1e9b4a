import { createHash, type Hash, randomFillSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { tlsIdentity } from '../../../../agent/tls.ts'
import { HeldBody } from '../../../../store/object-store.ts'
import { doneWith, OwnBody } from '../../../../store/own-body.ts'
import type { Face } from '../../../../store/s3/face.ts'
import { listen } from '../../../../store/s3/listen.ts'

const test = suite('bodies made for their reader, over a socket')

const PIECES = 32
const PIECE_BYTES = 256 << 10
/** What a connection holds of the last pieces when the answer ends. */
const LAST_PIECES = 2
const SLOW_MS = 20

const digestOf = (hash: Hash): string => hash.digest('hex')

for (const secure of [false, true]) {
  const name = secure ? 'https' : 'http'

  test(`${name}: a slow client has every byte of an answer whose pieces are given back as it takes them`, async () => {
    const sent = createHash('sha256')
    const pieces: Buffer[] = []
    async function* body(): AsyncGenerator<Buffer> {
      for (let at = 0; at < PIECES; at++) {
        const piece = randomFillSync(Buffer.allocUnsafeSlow(PIECE_BYTES))
        sent.update(piece)
        pieces.push(piece)
        yield piece
      }
    }
    const length = ['content-length', String(PIECES * PIECE_BYTES)] as [string, string]
    const got = await exchange(
      secure,
      async () => ({ status: 200, headers: [length], body: new OwnBody(body()) }),
      null,
    )
    assert.is(got, digestOf(sent))
    const held = pieces.filter(piece => piece.length > 0).length
    assert.ok(held <= LAST_PIECES, `${held} pieces held`)
  })

  test(`${name}: so has one of a body at hand, which is given back when it is sent`, async () => {
    const held = new HeldBody(randomFillSync(Buffer.allocUnsafeSlow(PIECES * PIECE_BYTES)))
    const wanted = createHash('sha256').update(held.bytes).digest('hex')
    const sent = () => doneWith(held, held.bytes)
    const got = await exchange(secure, async () => ({ status: 200, headers: [], body: held.bytes, sent }), null)
    assert.is(got, wanted)
    assert.is(held.bytes.length, 0)
  })

  test(`${name}: an upload whose pieces are given back one by one is heard whole`, async () => {
    const upload = randomFillSync(Buffer.allocUnsafeSlow(PIECES * PIECE_BYTES))
    const face: Face = async ({ body }) => {
      const heard = createHash('sha256')
      for await (const piece of body) {
        heard.update(piece)
        doneWith(body, piece)
        // the connection goes on filling what lies ahead
        await sleep(1)
      }
      return { status: 200, headers: [], body: Buffer.from(heard.digest('hex')) }
    }
    const wanted = createHash('sha256').update(upload).digest('hex')
    const answer = createHash('sha256').update(wanted).digest('hex')
    assert.is(await exchange(secure, face, upload), answer)
  })
}

/** @returns digest of what was answered, taken slowly */
async function exchange(secure: boolean, face: Face, upload: Buffer | null): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-own-'))
  const tls = secure ? await tlsIdentity(directory, new Date()) : undefined
  const listener = await listen({ face, host: '127.0.0.1', port: 0, ...(tls && { tls }) })
  try {
    return await new Promise((resolve, reject) => {
      const options = { port: listener.port, host: '127.0.0.1', method: upload === null ? 'GET' : 'PUT', ca: tls?.cert }
      const call = (secure ? secureRequest : request)({ ...options, checkServerIdentity: () => undefined }, answer => {
        const got = createHash('sha256')
        let count = 0
        answer.on('data', (chunk: Buffer) => {
          got.update(chunk)
          if (++count % 16 !== 0) return
          answer.pause()
          setTimeout(() => answer.resume(), SLOW_MS)
        })
        answer.on('end', () => resolve(digestOf(got)))
        answer.on('error', reject)
      })
      call.on('error', reject)
      call.end(upload ?? undefined)
    })
  } finally {
    await listener.close({ graceSeconds: 1 })
    rmSync(directory, { recursive: true, force: true })
  }
}

test.run()

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { asBuffer } from '../../format/bytes.ts'
import { FLOE_HEADER_BYTES, Floe, type FloeParameters, SEGMENT_OVERHEAD } from '../../format/floe.ts'
import { notice } from '../harness/notice.ts'

const floe = suite('FLOE')
const KEY = Buffer.alloc(32)
const AAD = Buffer.from('This is AAD')
const own = new URL('../vectors/floe/', import.meta.url)
const shared = new URL('../../../shared/vectors/floe/', import.meta.url)

function parametersOf(name: string): FloeParameters {
  if (name.includes('rotation')) return { segmentBytes: 40, rotationBits: 2 }
  if (name.includes('lastSeg')) return { segmentBytes: 40, rotationBits: 20 }
  return { segmentBytes: name.includes('4K') ? 4096 : 64, rotationBits: 20 }
}

function openAll(message: Floe, body: Buffer, segmentBytes: number): Buffer {
  const out: Buffer[] = []
  for (let at = 0, index = 0; at < body.length; at += segmentBytes, index++)
    out.push(message.openSegment(index, body.subarray(at, at + segmentBytes), at + segmentBytes >= body.length))
  return Buffer.concat(out)
}

function runVectors(folder: URL): number {
  const names = readdirSync(folder).filter(name => name.endsWith('_ct.txt'))
  for (const file of names) {
    const name = file.slice(0, -'_ct.txt'.length)
    const hex = (kind: string): Buffer =>
      Buffer.from(readFileSync(new URL(`${name}_${kind}.txt`, folder), 'utf8').trim(), 'hex')
    const parameters = parametersOf(name)
    const sealed = hex('ct')
    const message = Floe.open(KEY, AAD, sealed.subarray(0, FLOE_HEADER_BYTES), parameters)
    assert.equal(openAll(message, sealed.subarray(FLOE_HEADER_BYTES), parameters.segmentBytes), hex('pt'), name)
  }
  return names.length
}

floe('opens the known answers kept with the project, one of each parameter set', () => {
  assert.ok(runVectors(own) >= 4)
})

if (existsSync(shared))
  floe('opens the known answers of four other implementations', () => assert.ok(runVectors(shared) >= 14))
else notice('public vectors not here: 17 cases not run')

for (const length of [0, 1, 31, 32, 33, 63, 64, 65, 96]) {
  floe(`${length} bytes come back, in segments of 64`, () => {
    const parameters = { segmentBytes: 64, rotationBits: 1 }
    const room = 64 - SEGMENT_OVERHEAD
    const plain = Buffer.from(Array.from({ length }, (_, at) => at & 0xff))
    const sealer = Floe.start(KEY, AAD, parameters)
    const count = Math.max(1, Math.ceil(length / room))
    const out = Buffer.alloc(length + count * SEGMENT_OVERHEAD)
    let at = 0
    for (let index = 0; index < count; index++)
      at += sealer.sealSegment(index, plain.subarray(index * room, (index + 1) * room), index === count - 1, out, at)
    assert.is(at, out.length)
    const opened = openAll(Floe.open(KEY, AAD, sealer.header, parameters), out, 64)
    assert.equal(asBuffer(opened), plain)
  })
}

floe('every flipped bit of a header and of a two-segment message is noticed', () => {
  const parameters = { segmentBytes: 64, rotationBits: 20 }
  const sealer = Floe.start(KEY, AAD, parameters)
  const body = Buffer.alloc(64 + 42)
  sealer.sealSegment(0, Buffer.alloc(32, 7), false, body, 0)
  sealer.sealSegment(1, Buffer.alloc(10, 8), true, body, 64)
  const message = Buffer.concat([sealer.header, body])
  for (let bit = 0; bit < message.length * 8; bit++) {
    const broken = Buffer.from(message)
    broken[bit >> 3] = (broken[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.throws(
      () =>
        openAll(
          Floe.open(KEY, AAD, broken.subarray(0, FLOE_HEADER_BYTES), parameters),
          broken.subarray(FLOE_HEADER_BYTES),
          64,
        ),
      undefined,
      `bit ${bit}`,
    )
  }
})

floe('segments that changed places, were dropped or doubled are refused', () => {
  const parameters = { segmentBytes: 64, rotationBits: 20 }
  const sealer = Floe.start(KEY, AAD, parameters)
  const body = Buffer.alloc(64 * 3)
  for (const index of [0, 1, 2]) sealer.sealSegment(index, Buffer.alloc(32, index), index === 2, body, index * 64)
  const part = (index: number): Buffer => body.subarray(index * 64, index * 64 + 64)
  for (const order of [
    [1, 0, 2],
    [0, 2],
    [0, 0, 1, 2],
    [0, 1],
    [0, 1, 2, 2],
  ]) {
    const message = Floe.open(KEY, AAD, sealer.header, parameters)
    assert.throws(() => openAll(message, Buffer.concat(order.map(part)), 64))
  }
})

floe.run()

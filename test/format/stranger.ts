/**
 * A second decoder, written from FORMAT.md and from nothing else: no import from `format/`. It opens an object out of a pack with the
 * epoch key, seals bodies with given nonces; `stranger-keys.ts` opens key records, grants and signatures.
 */
import { createCipheriv, timingSafeEqual } from 'node:crypto'
import { decode } from 'cborg'
import { ascii, be32, be64, demand, expand, gcmOpen, label, lp, sha, smallOpen, u64 } from './stranger-bytes.ts'

/** §3.2: what follows from an object key and a core header. */
function floeKeys(objectKey: Uint8Array, core: Buffer) {
  const aad = sha('sha384', core.subarray(0, 28))
  const params = Buffer.concat([Buffer.of(0, 0), core.subarray(8, 12), be32(32)])
  demand(params.equals(core.subarray(28, 38)), 'FLOE parameters')
  const p = core.subarray(28, 70)
  const messageKey = expand(objectKey, Buffer.concat([p, ascii('MESSAGE_KEY:'), aad]), 48)
  return {
    tag: expand(objectKey, Buffer.concat([p, ascii('HEADER_TAG:'), aad]), 32),
    segmentKey: (i: number) => expand(messageKey, Buffer.concat([p, ascii('DEK:'), be64(i - (i % 2 ** 20)), aad]), 32),
  }
}

/** §3.3, §3.4 */
export function openBody(body: Buffer, objectKey: Uint8Array, plaintextLength: number): Buffer {
  const core = body.subarray(0, 102)
  demand(core.toString('latin1', 0, 4) === 'SLFT' && core[4] === 1 && core[5] === 1 && core[6] === 0, 'core header')
  const segment = core.readUInt32BE(8)
  demand(segment >= 65536 && segment <= 4194304, 'segment length')
  const keys = floeKeys(objectKey, core)
  demand(timingSafeEqual(keys.tag, core.subarray(70, 102)), 'header tag')
  const count = Math.max(1, Math.ceil(plaintextLength / (segment - 32)))
  demand(body.length === 102 + plaintextLength + 32 * count, 'body length')
  const out: Buffer[] = []
  for (let i = 0; i < count; i++) {
    const final = i === count - 1
    const at = 102 + i * segment
    const piece = body.subarray(at, final ? body.length : at + segment)
    demand(piece.readUInt32BE(0) === (final ? piece.length : 0xffffffff), 'length word')
    const aad = Buffer.concat([be64(i), Buffer.of(final ? 1 : 0)])
    out.push(gcmOpen(keys.segmentKey(i), piece.subarray(4, 16), piece.subarray(16, -16), piece.subarray(-16), aad))
  }
  return Buffer.concat(out)
}

/** Endless bytes from a seed: AES-256-CTR under SHA-256(seed), counter from zero. */
export function seeded(seed: string, length: number): Buffer {
  const stream = createCipheriv('aes-256-ctr', sha('sha256', Buffer.from(seed)), Buffer.alloc(16))
  return stream.update(Buffer.alloc(length))
}

/** Seals as a writer does, with IV and nonces from a seed. For vectors only. */
export function sealSeeded(
  objectId: string,
  objectKey: Uint8Array,
  plain: Buffer,
  segment: number,
  seed: string,
): Buffer {
  const count = Math.max(1, Math.ceil(plain.length / (segment - 32)))
  const random = seeded(seed, 32 + 12 * count)
  const head = Buffer.concat([ascii('SLFT'), Buffer.of(1, 1, 0, 0), be32(segment), Buffer.from(objectId, 'hex')])
  const core = Buffer.concat([head, Buffer.of(0, 0), be32(segment), be32(32), random.subarray(0, 32), Buffer.alloc(32)])
  const keys = floeKeys(objectKey, core)
  keys.tag.copy(core, 70)
  const out: Buffer[] = [core]
  for (let i = 0; i < count; i++) {
    const final = i === count - 1
    const text = plain.subarray(i * (segment - 32), (i + 1) * (segment - 32))
    const nonce = random.subarray(32 + 12 * i, 44 + 12 * i)
    const gcm = createCipheriv('aes-256-gcm', keys.segmentKey(i), nonce, { authTagLength: 16 })
    gcm.setAAD(Buffer.concat([be64(i), Buffer.of(final ? 1 : 0)]))
    const sealed = Buffer.concat([gcm.update(text), gcm.final()])
    out.push(be32(final ? text.length + 32 : 0xffffffff), nonce, sealed, gcm.getAuthTag())
  }
  return Buffer.concat(out)
}

export type Frame = { type: number; offset: number; payload: Buffer; checksum: Buffer }

/** §6.1, §6.2: every frame of a pack; a body's payload is the body. */
export function readPack(pack: Buffer): Frame[] {
  demand(pack.toString('latin1', 0, 4) === 'SLPK' && pack[4] === 1, 'pack header')
  demand(sha('sha256', pack.subarray(0, 88)).equals(pack.subarray(88, 120)), 'pack header checksum')
  const frames: Frame[] = []
  let previous: Buffer = Buffer.alloc(32)
  for (let at = 120; at < pack.length; ) {
    demand(pack.toString('latin1', at, at + 4) === 'SLFR' && pack.readUInt32BE(at + 4) % 2 ** 24 === 0, 'frame head')
    const type = pack[at + 4] ?? 0
    demand(type >= 1 && type <= 5, 'frame type')
    if (type === 2) {
      const segment = pack.readUInt32BE(at + 16 + 8)
      let end = at + 16 + 102
      while (pack.readUInt32BE(end) === 0xffffffff) end += segment
      end += pack.readUInt32BE(end)
      demand(end <= pack.length, 'body cut short')
      frames.push({ type, offset: at, payload: pack.subarray(at + 16, end), checksum: previous })
      at = end
      continue
    }
    const length = u64(pack, at + 8)
    demand(length <= 16777216 && at + 80 + length <= pack.length, 'payload length')
    const payload = pack.subarray(at + 80, at + 80 + length)
    const checksum = pack.subarray(at + 48, at + 80)
    demand(sha('sha256', pack.subarray(at, at + 48), payload).equals(checksum), 'frame checksum')
    demand(pack.subarray(at + 16, at + 48).equals(previous), 'frame order')
    frames.push({ type, offset: at, payload, checksum })
    previous = checksum
    at += 80 + length
  }
  return frames
}

export type Name = { account: string; job: string; bucket: string; key: string }
type Part = { upload: string; number: number }

/** §15.3: the plaintext under a name, from one pack and the epoch's key. */
export function openObject(pack: Buffer, epoch: string, epochKey: Uint8Array, name: Name): Buffer {
  const frames = readPack(pack)
  const metadataKey = expand(epochKey, label('metadata key'), 32)
  let best: { sequence: number; commit: Buffer } | null = null
  for (const { type, payload } of frames) {
    if (type !== 3 || payload[32 + 5] === 2) continue
    const envelope = payload.subarray(32)
    if (envelope.toString('hex', 8, 24) !== epoch || envelope.toString('hex', 24, 40) !== name.job) continue
    const { b, k } = metadataOf(envelope, metadataKey)
    const sequence = u64(payload, 0)
    if (b === name.bucket && k === name.key && sequence > (best?.sequence ?? -1)) best = { sequence, commit: payload }
  }
  if (best === null) throw new Error('stranger: no such object')
  return openCommitted(pack, frames, best.commit, epochKey, name, null)
}

function metadataOf(envelope: Buffer, metadataKey: Buffer): { b: string; k: string; p?: [string, number] } {
  const sealed = envelope.subarray(172, 172 + envelope.readUInt32BE(164))
  const aad = label(
    'metadata',
    envelope.subarray(5, 6),
    envelope.subarray(40, 56),
    envelope.subarray(24, 40),
    envelope.subarray(8, 24),
  )
  return decode(smallOpen(metadataKey, sealed, aad))
}

function openCommitted(
  pack: Buffer,
  frames: Frame[],
  commit: Buffer,
  epochKey: Uint8Array,
  name: Name,
  part: Part | null,
): Buffer {
  const envelope = commit.subarray(32)
  demand(envelope.toString('latin1', 0, 4) === 'SLEV' && envelope[4] === 1 && envelope[6] === 1, 'envelope')
  const composite = envelope[5] === 3
  const objectId = envelope.subarray(40, 56)
  const partsAt = 172 + envelope.readUInt32BE(164)
  const parts = envelope.subarray(partsAt)
  demand(parts.length === 65 * envelope.readUInt32BE(168), 'envelope length')
  const bodyAt = u64(commit, 16) + 16
  const body = pack.subarray(bodyAt, bodyAt + u64(envelope, 64))
  const context = sha(
    'sha384',
    label('context'),
    lp(name.account),
    lp(Buffer.from(name.job, 'hex')),
    lp(name.bucket),
    lp(name.key),
    lp(objectId),
    lp(part?.upload ?? ''),
    be32(part?.number ?? 0),
    lp(''),
  )
  const coreHash = composite ? sha('sha384', label('composite', objectId)) : sha('sha384', body.subarray(0, 102))
  const metadataHash = sha('sha256', envelope.subarray(172, partsAt))
  const aad = Buffer.concat([label('wrap'), coreHash, envelope.subarray(0, 104), metadataHash, context])
  const wrapKey = expand(epochKey, label('wrap key'), 32)
  const key = gcmOpen(
    wrapKey,
    envelope.subarray(104, 116),
    envelope.subarray(116, 148),
    envelope.subarray(148, 164),
    aad,
  )
  if (composite) {
    demand(sha('sha256', parts).equals(envelope.subarray(72, 104)), 'part list')
    const metadataKey = expand(epochKey, label('metadata key'), 32)
    const out: Buffer[] = []
    for (let at = 0; at < parts.length; at += 65) {
      const mine = frames.find(
        each => each.type === 3 && each.payload.subarray(72, 88).equals(parts.subarray(at, at + 16)),
      )
      if (mine === undefined) throw new Error('stranger: a part is missing')
      const { p } = metadataOf(mine.payload.subarray(32), metadataKey)
      if (p === undefined) throw new Error('stranger: a part that is none')
      const line = Buffer.concat([
        mine.payload.subarray(72, 104),
        mine.payload.subarray(39, 40),
        mine.payload.subarray(104, 136),
      ])
      demand(line.equals(parts.subarray(at, at + 65)), 'a part is not as listed')
      out.push(openCommitted(pack, frames, mine.payload, epochKey, name, { upload: p[0], number: p[1] }))
    }
    return Buffer.concat(out)
  }
  demand(body.subarray(12, 28).equals(objectId), 'object id')
  if (envelope[7] === 2) demand(sha('sha256', body).equals(envelope.subarray(72, 104)), 'body digest')
  return openBody(body, key, u64(envelope, 56))
}

import { createSecretKey } from 'node:crypto'
import { coreHeaderHash } from '../../../format/core-header.ts'
import { COMPOSITE, compositeHeaderHash, parseEnvelope } from '../../../format/envelope.ts'
import { deriveMetadataKey } from '../../../format/epoch-key.ts'
import { FRAME, parseCommit } from '../../../format/frame.ts'
import { expand, label } from '../../../format/kdf.ts'
import { openMetadata, parseMetadata } from '../../../format/metadata.ts'
import { walkPack } from '../../../format/pack-walk.ts'
import { ACCOUNT, BUCKET } from '../../format/parties.ts'
import type { SmallDrive } from '../../format/small-drive.ts'
import { type Inputs, readAtOf } from '../../format/vector-readers.ts'
import { cut, type Draft, flip, longer } from './draft.ts'
import { write } from './vector-writer.ts'

/** The envelopes in the pack of the small drive, and the metadata sealed in them. */
export async function writeEnvelopes(folder: string, drive: SmallDrive): Promise<void> {
  const [first] = drive.epochs
  const pack = drive.pack.bytes()
  const wrapKey = expand(first.key, label('wrap key'), 32)
  const metadataKey = deriveMetadataKey(first.key)
  const envelopes: Draft[] = []
  const metadatas: Draft[] = []
  for await (const frame of walkPack(readAtOf(pack))) {
    if (frame.type !== FRAME.commit) continue
    const commit = parseCommit(frame.payload)
    const envelope = parseEnvelope(commit.envelope)
    if (envelope.kekId !== first.id) continue
    const place = { kind: envelope.kind, objectId: envelope.objectId, job: envelope.job, epoch: envelope.kekId }
    const { key, part } = parseMetadata(openMetadata(createSecretKey(metadataKey), place, envelope.sealedMetadata))
    const core = pack.subarray(commit.bodyOffset + 16, commit.bodyOffset + 118)
    const coreHash = (
      envelope.kind === COMPOSITE ? compositeHeaderHash(envelope.objectId) : coreHeaderHash(core)
    ).toString('hex')
    const inputs: Inputs = {
      account: ACCOUNT,
      job: envelope.job,
      bucket: BUCKET,
      key,
      wrapKey: wrapKey.toString('hex'),
      coreHash,
    }
    if (part !== undefined) Object.assign(inputs, { upload: part.upload, number: String(part.number) })
    const others = {
      account: 'acme2',
      bucket: 'photo',
      key: `${key}x`,
      wrapKey: '00'.repeat(32),
      job: '0'.repeat(32),
      coreHash: '00'.repeat(48),
    }
    const composite = envelope.kind === COMPOSITE
    envelopes.push({
      name: `kind ${envelope.kind}: ${key}${part === undefined ? '' : `, part ${part.number}`}`,
      inputs,
      bytes: commit.envelope,
      refused: [
        flip('magic', 'malformed', 0),
        flip('version', 'unsupported', 4),
        flip('unknown kind', 'unsupported', 5, 8),
        flip('kind of key', 'tampered', 6, 3),
        flip('unknown kind of key', 'unsupported', 6, 8),
        flip('unknown digest', 'unsupported', 7, 8),
        flip('key id', 'tampered', 8),
        flip('job', 'tampered', 24),
        flip('object id', 'tampered', 40),
        flip('plaintext length above 2^53', 'limit', 56, 0x80),
        flip('plaintext length', composite ? 'malformed' : 'tampered', 63),
        flip('body length', composite ? 'malformed' : 'tampered', 71),
        flip('digest', 'tampered', 72),
        flip('nonce', 'tampered', 104),
        flip('wrapped key', 'tampered', 116),
        flip('its tag', 'tampered', 163),
        flip('metadata length above its bound', 'limit', 165, 0x80),
        flip('part count above its bound', 'limit', 168, 0x80),
        flip('sealed metadata', 'tampered', 172),
        flip('last byte', 'tampered', -1),
        cut('truncated'),
        longer('truncated'),
        ...Object.entries(others).map(([name, value]): Draft['refused'][number] => [
          `another ${name}`,
          'tampered',
          { inputs: { [name]: value } },
        ]),
        ['as another part', 'tampered', { inputs: { upload: 'u1', number: '9' } }],
      ],
    })
    metadatas.push({
      name: `of ${key}${part === undefined ? '' : `, part ${part.number}`}`,
      inputs: {
        kind: String(place.kind),
        objectId: place.objectId,
        job: place.job,
        epoch: place.epoch,
        metadataKey: metadataKey.toString('hex'),
      },
      bytes: envelope.sealedMetadata,
      refused: [
        flip('nonce', 'tampered', 0),
        flip('text', 'tampered', 12),
        flip('tag', 'tampered', -1),
        cut('tampered'),
        ['almost nothing', 'truncated', { cut: envelope.sealedMetadata.length - 27 }],
        ['as another kind', 'tampered', { inputs: { kind: '4' } }],
        ['of another object', 'tampered', { inputs: { objectId: 'ab'.repeat(16) } }],
      ],
    })
  }
  await write(
    folder,
    'envelope',
    'Opening gives the object key. coreHash: SHA-384 of the core header, or of the composite label.',
    envelopes,
  )
  await write(folder, 'metadata', 'Sealed metadata; cbor is the plaintext.', metadatas)
}

import { createECDH, randomBytes } from 'node:crypto'
import { type DeviceId, type EpochId, type JobId, newId, type ObjectId } from '../../../format/bytes.ts'
import { SHA_256 } from '../../../format/digest.ts'
import { EPOCH_KEK, OBJECT, sealEnvelope } from '../../../format/envelope.ts'
import { deriveEpochKeys } from '../../../format/epoch-key.ts'
import { signExportJob } from '../../../format/export-job.ts'
import { makeKeyRecord, type RecipientKey } from '../../../format/key-record.ts'
import { encodeMetadata, sealMetadata } from '../../../format/metadata.ts'
import { HPKE_P256, keyId, sealTo } from '../../../format/wrap-suite.ts'
import { ACCOUNT, BUCKET, DAY, ecdhOf, NOW } from '../../format/parties.ts'
import { newSigner } from '../../format/signer.ts'
import { longer, signed } from './draft.ts'
import { write } from './vector-writer.ts'

/** What a provider makes for a device that carries objects out. */
export async function writeExports(folder: string): Promise<void> {
  const [provider, other] = [newSigner(), newSigner()]
  const signerSpki = provider.spki.toString('hex')
  const byAnother = { inputs: { signerSpki: other.spki.toString('hex') } }
  const [job, device, epoch, objectId] = [newId<JobId>(), newId<DeviceId>(), newId<EpochId>(), newId<ObjectId>()]
  const order = { job, account: ACCOUNT, buckets: [BUCKET], endsAt: NOW + DAY, orderedAt: NOW }
  await write(folder, 'export-job', 'Signed by the provider.', [
    {
      name: 'one bucket, one day',
      inputs: { signerSpki },
      bytes: await signExportJob(order, provider.sign),
      refused: [...signed(60), ['signed by another', 'tampered', byAnother]],
    },
  ])
  const own = createECDH('prime256v1')
  own.generateKeys()
  const privateKey = Buffer.concat([Buffer.alloc(32), own.getPrivateKey()]).subarray(-32)
  const transport = { suite: HPKE_P256, spki: ecdhOf(privateKey).spki } as const
  const [key, objectKey, coreHash] = [randomBytes(32), randomBytes(32), randomBytes(48)]
  const head = { epoch, job, device, grantHash: randomBytes(32), createdAt: NOW, maxObjects: 10_000, maxBytes: 2 ** 38 }
  const recipient: RecipientKey = {
    suite: HPKE_P256,
    keyId: keyId(transport.spki),
    seal: async (secret, context) => sealTo(transport, secret, context),
  }
  const record = await makeKeyRecord(key, head, [recipient], provider.sign)
  const keys = deriveEpochKeys(key)
  const metadata = encodeMetadata({ bucket: BUCKET, key: 'k', modifiedAt: NOW, etag: 'e', headers: {}, user: {} })
  const sealedMetadata = sealMetadata(keys.metadataKey, { kind: OBJECT, objectId, job, epoch }, metadata)
  const lengths = { plaintextLength: 5, bodyLength: 139, digestId: SHA_256, digest: randomBytes(32) } as const
  const fields = { kind: OBJECT, kekKind: EPOCH_KEK, kekId: epoch, job, objectId, ...lengths, sealedMetadata, parts: [] } as const
  const context = { account: ACCOUNT, job, bucket: BUCKET, key: 'k', objectId }
  const envelope = sealEnvelope(keys.wrapKey, objectKey, { ...fields, parts: [] }, coreHash, context)
  const changed = Buffer.from(envelope)
  changed[120] = (changed[120] ?? 0) ^ 1
  const inputs = {
    ...{ signerSpki, privateKey: privateKey.toString('hex'), coreHash: coreHash.toString('hex') },
    ...{ envelope: envelope.toString('hex'), account: ACCOUNT, bucket: BUCKET, key: 'k' },
  }
  await write(
    folder,
    'export-epoch',
    'A key record by the provider, with the P-256 private key (32 bytes) of the device, and an envelope under its epoch.',
    [
      {
        name: 'one object',
        inputs,
        bytes: record,
        refused: [
          ...signed(60),
          longer('malformed'),
          ['signed by another', 'tampered', byAnother],
          ['for another device', 'mismatch', { inputs: { privateKey: '01'.repeat(32) } }],
          ['under another name', 'tampered', { inputs: { key: 'l' } }],
          ['in another bucket', 'tampered', { inputs: { bucket: 'b' } }],
          ['of another account', 'tampered', { inputs: { account: 'other' } }],
          ['a changed envelope', 'tampered', { inputs: { envelope: changed.toString('hex') } }],
        ],
      },
    ],
  )
}

/** A device without a token: keys of this process stand in for it, so that the engine is tested by itself. */
import {
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DeviceId, type JobId, newId } from '../../../format/bytes.ts'
import type { JobMode } from '../../../format/grant.ts'
import { hpkeOpen } from '../../../format/hpke.ts'
import { openKeyRecord, verifyKeyRecord } from '../../../format/key-record.ts'
import { keyId, sealTo } from '../../../format/wrap-suite.ts'
import type { Index } from '../../../store/index-store.ts'
import type { ChainHead } from '../../../store/pack/chain.ts'
import { createDrive, type Drive } from '../../../store/pack/drive.ts'
import type { EpochSource, PackOwner } from '../../../store/pack/epoch-source.ts'
import { openPackStore, type PackStore, type PackStoreOptions } from '../../../store/pack/pack-store.ts'
import { openSqliteIndex } from '../../../store/sqlite-index.ts'

export type Device = {
  root: string
  drives: Drive[]
  owner: PackOwner
  source: EpochSource
  /** private half of the job's import key: the provider's */
  importKey: KeyObject
  indexPath: string
  head: ChainHead
  open(overrides?: Partial<PackStoreOptions>): Promise<PackStore>
  openIndex(): Index
  remove(): void
}

const spkiOf = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' })

export async function makeDevice(
  options: {
    mode?: JobMode
    drives?: number
    limits?: Partial<PackOwner['limits']>
    readBack?: PackOwner['readBack']
  } = {},
): Promise<Device> {
  const root = mkdtempSync(join(tmpdir(), 'sealift-device-'))
  const identity = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const importPair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const job = newId<JobId>()
  const device = newId<DeviceId>()
  const mode = options.mode ?? 'readable'
  const owner: PackOwner = {
    job,
    device,
    account: 'acme',
    mode,
    buckets: ['b', 'photos'],
    grantHash: randomBytes(32),
    identity: spkiOf(identity.publicKey),
    deviceCertificate: Buffer.from('not a certificate: this device has no provider'),
    limits: { objects: 10_000, bytes: 2 ** 38, seconds: 600, idleSeconds: 60, ...options.limits },
    digest: 'fast',
    readBack: options.readBack ?? 'all',
  }
  const spki = spkiOf(importPair.publicKey)
  const source: EpochSource = {
    newKey: async () => randomBytes(32),
    recipients: [
      {
        suite: 0x0010,
        keyId: keyId(spki),
        seal: async (secret, context) => sealTo({ suite: 0x0010, spki }, secret, context),
      },
    ],
    sign: async message => sign('sha256', message, { key: identity.privateKey, dsaEncoding: 'ieee-p1363' }),
    indexKey: createSecretKey(randomBytes(32)),
    openEpoch: async record => (mode === 'readable' ? openWith(importPair.privateKey, record, owner.identity) : null),
  }
  const drives: Drive[] = []
  for (let number = 1; number <= (options.drives ?? 1); number++)
    drives.push(
      await createDrive(
        join(root, `drive${number}`),
        { format: 1, job, device, drive: newId(), number, createdAt: '2026-01-02T03:04:05Z' },
        Buffer.from('grant'),
        'A drive of a test.\n',
      ),
    )
  const made: Device = {
    root,
    drives,
    owner,
    source,
    importKey: importPair.privateKey,
    indexPath: join(root, 'index.sqlite'),
    head: { number: 0, hash: Buffer.alloc(32) },
    openIndex: () => openSqliteIndex({ path: made.indexPath, key: Buffer.alloc(32, 5), synchronous: 'NORMAL' }),
    open: overrides =>
      openPackStore({
        drives,
        owner,
        source,
        index: overrides?.index ?? made.openIndex(),
        head: made.head,
        remember: async head => {
          made.head = head
        },
        now: Date.now,
        ticks: () => performance.now(),
        sealingThreads: 0,
        ...overrides,
      }),
    remove: () => rmSync(root, { recursive: true, force: true }),
  }
  return made
}

/** Opens a key record as the provider's token would. */
export function openWith(importKey: KeyObject, record: Uint8Array, identity: Uint8Array): Promise<Buffer> {
  const spki = spkiOf(createPublicKey(importKey))
  return openKeyRecord(
    verifyKeyRecord(record, identity),
    id => id.equals(keyId(spki)),
    async (_, sealed, context) =>
      hpkeOpen(
        point => agree(importKey, point),
        spki,
        { encapsulated: sealed.encapsulated, ciphertext: sealed.ciphertext },
        Buffer.from(context.info),
        context.aad,
      ),
  )
}

function agree(privateKey: KeyObject, point: Uint8Array): Buffer {
  const prefix = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex')
  const publicKey = createPublicKey({ key: Buffer.concat([prefix, point]), format: 'der', type: 'spki' })
  return diffieHellman({ privateKey, publicKey })
}

export async function* bytesOf(...chunks: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk
}

export const PLAIN = { headers: {}, metadata: {} }

export async function putText(store: PackStore, key: string, text: string | Uint8Array): Promise<void> {
  await store.put('b', key, bytesOf(text), { attributes: PLAIN, finish: () => ({ etag: `e-${key}` }) })
}

export async function readAll(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const out: Uint8Array[] = []
  for await (const piece of body) out.push(piece)
  return Buffer.concat(out)
}

export async function getText(store: PackStore, key: string): Promise<string | null> {
  const found = await store.get('b', key)
  return found === null ? null : (await readAll(found.body)).toString('utf8')
}

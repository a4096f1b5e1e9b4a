import type { KeyObject } from 'node:crypto'
import type { DeviceId, JobId } from '../../format/bytes.ts'
import type { JobMode } from '../../format/grant.ts'
import type { RecipientKey } from '../../format/key-record.ts'
import type { Sign } from '../../format/signed.ts'

/**
 * What the pack engine needs of whoever holds keys. The engine knows no token: it is handed these functions.
 */
export interface EpochSource {
  /** 32 bytes: the token's random numbers XOR this process's. */
  newKey(): Promise<Buffer>
  readonly recipients: RecipientKey[]
  /** the device's identity key */
  readonly sign: Sign
  /** wraps metadata keys, so that the index can be rebuilt while unlocked */
  readonly indexKey: KeyObject
  /** Opens the key of an ended epoch from its record; null where the job's mode does not allow it. */
  openEpoch(keyRecord: Buffer): Promise<Buffer | null>
}

/** Who writes: from the grant. */
export type PackOwner = {
  job: JobId
  device: DeviceId
  account: string
  mode: JobMode
  buckets: string[]
  grantHash: Buffer
  /** SPKI: the chain on the drive must be signed by it */
  identity: Buffer
  /** X.509, DER: goes into the manifest */
  deviceCertificate: Buffer
  limits: { objects: number; bytes: number; seconds: number; idleSeconds: number }
  digest: 'fast' | 'sha-256'
  readBack: 'none' | 'sample' | 'all'
}

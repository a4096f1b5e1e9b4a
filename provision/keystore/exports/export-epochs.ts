import { randomBytes } from 'node:crypto'
import { type DeviceId, type EpochId, equalBytes, type JobId, newId } from '../../../format/bytes.ts'
import { deriveEpochKeys, EPOCH_KEY_BYTES, type EpochKeys } from '../../../format/epoch-key.ts'
import type { ExportKey } from '../../../format/export.ts'
import { makeKeyRecord } from '../../../format/key-record.ts'
import { keyId, type OpeningSuite, type PublicKey, sealTo } from '../../../format/wrap-suite.ts'
import type { Token } from '../../../hsm/token.ts'
import type { ExportJob } from '../jobs/jobs.ts'
import { TOKEN_KEYS } from '../keys/token-keys.ts'
import { denied } from '../refusal.ts'

/** The device that an export is for: its newest grant, and the key that only its token opens. */
export type ExportDevice = { device: DeviceId; grantHash: Buffer; transport: PublicKey & { suite: OpeningSuite } }

/**
 * Epochs of exports. The epoch key is sealed to the device and wiped; what is derived from it is in this memory till the epoch is over,
 * and on no medium: after a new start there is a new epoch.
 */
export type ExportEpochs = {
  /** The job's epoch of now, begun where there is none: two token operations. */
  current(job: ExportJob, to: ExportDevice): Promise<ExportKey>
  /**
   * Counts so many wraps of so many bytes under it.
   * @returns null - it is over, by what a device's epochs end by, or not of this grant
   * @throws ReleaseError "denied" - more wraps than any epoch of the job may have
   */
  enter(job: ExportJob, to: ExportDevice, epoch: EpochId, more: { wraps: number; bytes: number }): EpochKeys | null
  /** Nothing of the job is in memory any more. */
  forget(job: JobId): void
  close(): void
}

type Running = ExportKey & {
  keys: EpochKeys
  grantHash: Buffer
  wraps: number
  bytes: number
  begunAt: number
  usedAt: number
  /** ends it when nothing comes for as long as it may be idle */
  idle: NodeJS.Timeout
  /** ends it at its age, however the clock was set meanwhile */
  age: NodeJS.Timeout
}

export function exportEpochsOf({ token, clock }: { token: Token; clock: () => number }): ExportEpochs {
  const running = new Map<JobId, Running>()
  const beginning = new Map<JobId, Promise<Running>>()

  const end = (job: JobId): void => {
    const found = running.get(job)
    clearTimeout(found?.idle)
    clearTimeout(found?.age)
    running.delete(job)
  }
  const live = (job: ExportJob, to: ExportDevice): Running | null => {
    const found = running.get(job.id)
    if (found === undefined) return null
    const { objects, bytes, seconds, idleSeconds } = job.limits
    const old = clock() - found.begunAt >= seconds * 1000 || clock() - found.usedAt >= idleSeconds * 1000
    const full = found.wraps >= objects || found.bytes >= bytes
    if (!old && !full && equalBytes(found.grantHash, to.grantHash)) return found
    end(job.id)
    return null
  }
  const begin = async (job: ExportJob, { device, grantHash, transport }: ExportDevice): Promise<Running> => {
    const key = randomBytes(EPOCH_KEY_BYTES)
    try {
      // neither generator alone decides: the token's and this process's
      const other = await token.random(EPOCH_KEY_BYTES)
      for (const [at, byte] of other.entries()) key[at] = (key[at] ?? 0) ^ byte
      other.fill(0)
      const epoch = newId<EpochId>()
      const { objects: maxObjects, bytes: maxBytes, seconds, idleSeconds } = job.limits
      const head = { epoch, job: job.id, device, grantHash, createdAt: clock(), maxObjects, maxBytes }
      const recipient = {
        suite: transport.suite,
        keyId: keyId(transport.spki),
        seal: async (secret: Uint8Array, context: Parameters<typeof sealTo>[2]) => sealTo(transport, secret, context),
      }
      // by the key that signs grants: the device has its certificate in the grant, and takes no record of an export that it made itself
      const keyRecord = await makeKeyRecord(key, head, [recipient], message => token.sign(TOKEN_KEYS.grant, message))
      const endThis = () => {
        if (running.get(job.id)?.epoch === epoch) end(job.id)
      }
      const idle = setTimeout(endThis, idleSeconds * 1000).unref()
      const age = setTimeout(endThis, seconds * 1000).unref()
      const at = { begunAt: clock(), usedAt: clock() }
      return { epoch, keyRecord, keys: deriveEpochKeys(key), grantHash, wraps: 0, bytes: 0, ...at, idle, age }
    } finally {
      key.fill(0)
    }
  }
  return {
    async current(job, to) {
      const there = live(job, to)
      if (there !== null) return there
      const begun = beginning.get(job.id) ?? begin(job, to)
      beginning.set(job.id, begun)
      try {
        const fresh = await begun
        if (beginning.get(job.id) === begun) running.set(job.id, fresh)
        return fresh
      } finally {
        if (beginning.get(job.id) === begun) beginning.delete(job.id)
      }
    },
    enter(job, to, epoch, { wraps, bytes }) {
      if (wraps > job.limits.objects)
        throw denied(`${wraps} wraps at once; an epoch of the job has ${job.limits.objects}`)
      const found = live(job, to)
      if (found?.epoch !== epoch) return null
      if (found.wraps + wraps > job.limits.objects) {
        end(job.id)
        return null
      }
      found.wraps += wraps
      found.bytes += bytes
      found.usedAt = clock()
      found.idle.refresh()
      return found.keys
    },
    forget(job) {
      beginning.delete(job)
      end(job)
    },
    close() {
      for (const job of [...running.keys()]) end(job)
    },
  }
}

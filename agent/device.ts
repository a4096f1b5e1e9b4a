import { existsSync, mkdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type JobMode, parseGrantFile, peekGrant } from '../format/grant.ts'
import { addOperations, deviceTokenDirectory, readOperations } from '../hsm/device-token.ts'
import type { Pkcs11Uri } from '../hsm/pkcs11-uri.ts'
import type { Lock } from '../store/lock.ts'

import { type Drive, openDrive, readGrantFile } from '../store/pack/drive.ts'
import { openPackStore, type PackStore, type Sealed } from '../store/pack/pack-store.ts'
import { onMedium } from '../store/pack/write-fault.ts'
import { openSqliteIndex } from '../store/sqlite-index.ts'
import { type CustodyLog, custodyEventName, openCustodyLog } from './custody.ts'
import { AgentError } from './fault.ts'
import { hold } from './hold.ts'
import { waitFor } from './lockout.ts'
import { SettingsFile } from './settings.ts'
import { type DeviceEvent, type DeviceState, nextState } from './state.ts'
import { totalsOf } from './totals.ts'
import { type UnlockedJob, unlock } from './unlock.ts'

export type DeviceConfig = {
  /** 0700 */
  stateDirectory: string
  drivePaths: string[]
  tokenUri: Pkcs11Uri | null
}

export type OpenJob = { unlocked: UnlockedJob; store: PackStore; custody: CustodyLog; since: number }

export type DeviceStatus = {
  state: DeviceState
  device: string | null
  job: string | null
  account: string | null
  mode: JobMode | null
  buckets: string[]
  drives: { path: string; number: number; drive: string }[]
  objects: number | null
  bytes: number | null
  checkpoint: number
  expires: string | null
  wrongCodes: number
  nextTryInSeconds: number
  /** over the life of the token, enrolment included */
  tokenOperations: number
  recovered: { objects: number; torn: number; damage: number; lost: { bucket: string; key: string }[] } | null
}

/**
 * One device: its state directory and its drives, held by this process alone. Everything that `serve`, `copy` and the other commands do
 * to a device goes through here.
 */
export class Device {
  readonly config: DeviceConfig
  readonly settings: SettingsFile
  readonly #locks: Lock[]
  readonly #drives: Drive[]
  readonly #now: () => number
  #state: DeviceState
  #job: OpenJob | null = null
  #busy: Promise<unknown> = Promise.resolve()

  private constructor(config: DeviceConfig, settings: SettingsFile, locks: Lock[], drives: Drive[], now: () => number) {
    this.config = config
    this.settings = settings
    this.#locks = locks
    this.#drives = drives
    this.#now = now
    this.#state = drives.length === 0 ? 'fresh' : 'locked'
  }

  /** @throws AgentError "busy" - another process holds the state directory or a drive */
  static async open(config: DeviceConfig, now: () => number = Date.now): Promise<Device> {
    mkdirSync(config.stateDirectory, { recursive: true, mode: 0o700 })
    const locks: Lock[] = []
    try {
      locks.push(hold(config.stateDirectory))
      const drives: Drive[] = []
      for (const path of config.drivePaths) {
        if (!existsSync(path))
          throw new AgentError('absent', `drive ${path} is not there: is it plugged in and mounted?`)
        drives.push(await openDrive(path))
        locks.push(hold(join(path, '.sealift-lock')))
      }
      drives.sort((a, b) => a.volume.number - b.volume.number)
      const [first] = drives
      const other = drives.find(drive => drive.volume.job !== first?.volume.job)
      if (other !== undefined)
        throw new AgentError('refused', `${other.path} is of another job than ${first?.path}: one job at a time`)
      return new Device(config, await SettingsFile.open(config.stateDirectory), locks, drives, now)
    } catch (error) {
      for (const lock of locks) lock.close()
      throw error
    }
  }

  get state(): DeviceState {
    return this.#state
  }

  /** The open job. @throws AgentError "locked" */
  get job(): OpenJob {
    if (this.#job === null) throw new AgentError('locked', 'the device is locked: run `sealift unlock` first')
    return this.#job
  }

  get jobOrNull(): OpenJob | null {
    return this.#job
  }

  /** One change of state at a time. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#busy.catch(() => undefined).then(work)
    this.#busy = done
    return done
  }

  #move(event: DeviceEvent): void {
    const next = nextState(this.#state, event)
    if (next === null) throw new AgentError('refused', `the device is ${this.#state}: this is not possible now`)
    this.#state = next
  }

  /** Opens grant, token, drives and index; recovery runs in here. Unlocking an unlocked device changes nothing. */
  unlock(code: string): Promise<void> {
    return this.#alone(async () => {
      if (this.#job !== null) return
      const [first] = this.#drives
      if (first === undefined)
        throw new AgentError(
          'absent',
          'no drive with a grant is here: give one with --drive, or have the provider prepare one',
        )
      const unlocked = await unlock(this.#place(), await readGrantFile(first), code, this.settings, this.#now)
      try {
        this.#job = await this.#openJob(unlocked)
      } catch (error) {
        await unlocked.token.close()
        throw error
      }
      this.#move(this.#job.store.sealed ? 'unlocked-sealed' : 'unlocked')
    })
  }

  #place() {
    return {
      directory: deviceTokenDirectory(this.config.stateDirectory),
      ...(this.config.tokenUri !== null && { uri: this.config.tokenUri }),
    }
  }

  async #openJob(unlocked: UnlockedJob): Promise<OpenJob> {
    const { owner, source, indexFileKey } = unlocked
    if (this.#drives.some(drive => drive.volume.job !== owner.job || drive.volume.device !== owner.device))
      throw new AgentError('refused', "these drives are another job's or device's than the grant's")
    const head = this.settings.value.heads[owner.job]
    const indexPath = join(this.config.stateDirectory, `index-${owner.job}.sqlite`)
    const index = openSqliteIndex({ path: indexPath, key: indexFileKey, synchronous: 'NORMAL' })
    let store: PackStore | null = null
    try {
      store = await openPackStore({
        drives: this.#drives,
        owner,
        source,
        index,
        head:
          head === undefined
            ? { number: 0, hash: Buffer.alloc(32) }
            : { number: head.number, hash: Buffer.from(head.hash, 'hex') },
        remember: ({ number, hash }) =>
          this.settings.change(each => {
            each.heads[owner.job] = { number, hash: hash.toString('hex') }
          }),
        now: this.#now,
        ticks: () => performance.now(),
        sealingThreads: Math.min(availableParallelism(), 8),
      })
      const custody = await openCustodyLog(this.#drives, owner, source.sign, this.#now)
      await this.#writeEvents(custody, store)
      return { unlocked, store, custody, since: this.#now() }
    } catch (error) {
      await store?.close().catch(() => undefined)
      index.close()
      throw error
    }
  }

  async #writeEvents(custody: CustodyLog, store: PackStore): Promise<void> {
    for (const { at, event, detail } of this.settings.value.unsigned) {
      const name = custodyEventName(event)
      if (name !== null) await custody.note(name, detail, at)
    }
    await this.settings.change(each => {
      each.unsigned = []
    })
    const { recovered } = store
    if (recovered.objects > 0 || recovered.torn.length > 0)
      await custody.note('recovered', { objects: String(recovered.objects), torn: String(recovered.torn.length) })
    for (const each of recovered.damage)
      await custody.note('damage', { pack: each.pack, offset: String(each.offset), reason: each.reason.slice(0, 1000) })
    await custody.note('unlocked', {})
  }

  /** Ends the epoch, closes drives and token, forgets every key. */
  lock(): Promise<void> {
    return this.#alone(async () => {
      const job = this.#job
      if (job === null) return
      this.#job = null
      try {
        await job.store.close()
        await job.custody.note('locked', {})
      } finally {
        job.unlocked.indexFileKey.fill(0)
        // locked whatever the count below meets: no key is held any more
        this.#move('locked')
        const { directory } = this.#place()
        try {
          await onMedium(directory, async () => addOperations(directory, job.unlocked.token.operations))
        } finally {
          await job.unlocked.token.close()
        }
      }
    })
  }

  seal(): Promise<Sealed> {
    return this.#alone(async () => {
      const { store, custody } = this.job
      this.#move('seal')
      const sealed = await store.seal()
      this.#move('sealed')
      await custody.note('sealed', {
        code: sealed.code,
        number: String(sealed.checkpoint.number),
        objects: String(sealed.checkpoint.objects),
      })
      return sealed
    })
  }

  reopen(): Promise<void> {
    return this.#alone(async () => {
      const { store, custody } = this.job
      if (this.#state !== 'sealed') throw new AgentError('refused', 'the job is not sealed: there is nothing to reopen')
      await store.reopen()
      this.#move('reopened')
      await custody.note('reopened', {})
    })
  }

  /** Everything that may be said without the code. */
  async status(): Promise<DeviceStatus> {
    const job = this.#job
    const [first] = this.#drives
    const grant =
      job?.unlocked.grant ?? (first === undefined ? null : peekGrant(parseGrantFile(await readGrantFile(first)).signed))
    const totals = job === null ? null : totalsOf(job.store)
    const head = grant === null ? undefined : this.settings.value.heads[grant.job]
    return {
      state: this.#state,
      device: grant?.device ?? null,
      job: grant?.job ?? null,
      account: grant?.account ?? null,
      mode: grant?.mode ?? null,
      buckets: grant?.buckets ?? [],
      drives: this.#drives.map(drive => ({ path: drive.path, number: drive.volume.number, drive: drive.volume.drive })),
      objects: totals?.objects ?? null,
      bytes: totals?.bytes ?? null,
      checkpoint: head?.number ?? 0,
      expires: grant === null ? null : new Date(grant.expiresAt).toISOString(),
      wrongCodes: this.settings.value.wrongCodes.count,
      nextTryInSeconds: Math.ceil(waitFor(this.settings.value.wrongCodes, this.#now()) / 1000),
      tokenOperations: readOperations(this.#place().directory) + (job?.unlocked.token.operations ?? 0),
      recovered:
        job === null
          ? null
          : {
              objects: job.store.recovered.objects,
              torn: job.store.recovered.torn.length,
              damage: job.store.recovered.damage.length,
              lost: job.store.recovered.lost.slice(0, 1000),
            },
    }
  }

  async close(): Promise<void> {
    try {
      await this.lock()
    } finally {
      for (const lock of this.#locks) lock.close()
    }
  }
}

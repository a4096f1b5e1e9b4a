/** A provider in a directory of its own: authority, public store and intake station, joined as a main joins them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Hosted, openHosted } from '../../provision/hosted/serve.ts'
import { type IntakeOptions, openStation, type Station } from '../../provision/intake/intake.ts'
import type { Report } from '../../provision/intake/report.ts'
import { type Authority, openAuthority } from './authority.ts'
import type { Job } from './job.ts'

export type Dock = {
  directory: string
  authority: Authority
  hosted: Hosted
  station: Station
  takeIn(job: Job, code: string | null, overrides?: Partial<IntakeOptions>): Promise<Report>
  /** as a killed process leaves it */
  leave(): Promise<void>
  close(): Promise<void>
}

/**
 * @param directory - of a dock that was left, to go on in it
 * @param apartBytes - drives with as much in their packs are read by threads
 */
export async function openDock(
  authority: Authority = openAuthority(),
  directory = mkdtempSync(join(tmpdir(), 'sealift-dock-')),
  apartBytes?: number,
): Promise<Dock> {
  const hosted = await openHosted(
    { directory: join(directory, 'hosted'), region: 'r1', clock: () => new Date(), onError: () => undefined },
    authority,
  )
  const station = await openStation(join(directory, 'station'), apartBytes)
  return {
    directory,
    authority,
    hosted,
    station,
    takeIn: (job, code, overrides) =>
      station.takeIn({
        drives: job.device.drives.map(drive => drive.path),
        station: job.station,
        release: authority,
        target: hosted.registration,
        freshness: code === null ? null : { kind: 'seal-code', code },
        clock: Date.now,
        ...overrides,
      }),
    async leave() {
      await station.close()
      await hosted.close()
    },
    async close() {
      await station.close()
      await hosted.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Administration, AdministrationError } from '../../format/administration.ts'
import type { DeviceId, JobId } from '../../format/bytes.ts'
import { FormatError } from '../../format/fault.ts'
import type { KeyRelease } from '../../format/release.ts'
import { DRIVE, parseVolume } from '../../format/volume.ts'
import { writeFileDurable } from '../../store/durable.ts'
import type { Hosted } from '../hosted/serve.ts'
import { driveTarget } from '../intake/drive-target.ts'
import { IntakeError } from '../intake/finding.ts'
import { type IntakeOptions, openStation, type Station } from '../intake/intake.ts'
import type { Report } from '../intake/report.ts'
import type { Progress } from '../intake/work.ts'

/** What an operator asks of the intake station. */
export type IntakeRequest = {
  drives: string[]
  freshness:
    | { kind: 'seal-code'; code: string }
    | { kind: 'seal-file'; path: string }
    | { kind: 'overridden'; by: string }
    | null
  level: 'digest' | 'key'
  /** only look: nothing is registered, re-sealed or signed */
  check: boolean
}

export type IntakeDesk = {
  /** the provider's state directory */
  directory: string
  hosted: Hosted
  station: Station
  release: KeyRelease
  administer: () => Promise<Administration & { close(): void }>
}

/**
 * Takes drives in: the job goes to `taking-in`, the station does its work, and only a complete intake ends it. Which job and device is
 * read off the first drive; whether that is true the authority says.
 */
export async function takeDrivesIn(
  desk: IntakeDesk,
  request: IntakeRequest,
  progress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Report> {
  const [first] = request.drives
  if (first === undefined) throw new IntakeError('no-drive', 'give at least one drive')
  const { job, device } = await volumeOf(first)
  const administration = await desk.administer()
  try {
    const station = await stationSecret(desk.directory, administration)
    await beginIntake(administration, job, device)
    const { freshness } = request
    const options: IntakeOptions = {
      drives: request.drives,
      station: { ...station, job, device },
      release: desk.release,
      target: desk.hosted.registration,
      freshness:
        freshness?.kind === 'seal-file' ? { kind: 'seal-file', text: await readFile(freshness.path) } : freshness,
      level: request.level,
      clock: Date.now,
      progress,
      signal,
    }
    if (request.check) return await lookOnly(desk.directory, options)
    const report = await desk.station.takeIn(options)
    if (report.outcome === 'complete') await administration.endIntake(job)
    return report
  } finally {
    administration.close()
  }
}

/** What a drive says of itself moves no job to `taking-in` unless the job has such a device. */
async function beginIntake(administration: Administration, job: JobId, device: DeviceId): Promise<void> {
  try {
    const { devices } = await administration.showJob(job)
    if (devices.length > 0 && !devices.some(each => each.device === device))
      throw new IntakeError(
        'wrong-job',
        `the drive says that it is of device ${device}, which is none of job ${job}: it is another job's, or was changed`,
      )
    await administration.beginIntake(job)
  } catch (cause) {
    if (cause instanceof AdministrationError && cause.fault === 'not-found')
      throw new IntakeError(
        'wrong-job',
        `the drive says that it is of job ${job}, and there is no such job here: it is another provider's, or was changed`,
        { cause },
      )
    if (cause instanceof AdministrationError && cause.fault === 'state')
      throw new AdministrationError('state', `job ${job}, of which the drive says it is: ${cause.message}`, { cause })
    throw cause
  }
}

/** A station of its own that is thrown away: what it found is in its report, and the real one knows nothing of it. */
async function lookOnly(directory: string, options: IntakeOptions): Promise<Report> {
  const path = await mkdtemp(join(directory, 'check-'))
  const station = await openStation(path)
  try {
    return await station.takeIn({ ...options, target: driveTarget(), check: true })
  } finally {
    await station.close()
    await rm(path, { recursive: true, force: true })
  }
}

async function volumeOf(path: string) {
  let bytes: Buffer
  try {
    bytes = await readFile(join(path, DRIVE.volume))
  } catch (cause) {
    throw new IntakeError('no-drive', `${path} is no Sealift drive: it has no readable ${DRIVE.volume}`, { cause })
  }
  try {
    return parseVolume(bytes)
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw new IntakeError('no-drive', `${path}: ${cause.message}`, { cause })
  }
}

/** The station's own secret, made at its first intake and kept 0600. */
async function stationSecret(
  directory: string,
  administration: Administration,
): Promise<{ station: string; secret: Buffer }> {
  const path = join(directory, 'station.json')
  if (existsSync(path)) {
    const { station, secret } = JSON.parse(await readFile(path, 'utf8')) as { station: string; secret: string }
    return { station, secret: Buffer.from(secret, 'base64') }
  }
  const made = await administration.enrolStation('embedded')
  await writeFileDurable(
    path,
    Buffer.from(`${JSON.stringify({ station: made.station, secret: made.secret.toString('base64') })}\n`),
    0o600,
  )
  return made
}

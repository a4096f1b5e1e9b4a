import { type DeviceId, type DriveId, type EpochId, type JobId, type PackId, parseId } from './bytes.ts'
import { FormatError } from './fault.ts'

/** `volume.json` in a drive's root. No secret; what counts is signed elsewhere (grant, checkpoints). @see FORMAT.md §11 */
export type Volume = { format: 1; job: JobId; device: DeviceId; drive: DriveId; number: number; createdAt: string }

export const DRIVE = {
  label: 'SEALIFT.txt',
  volume: 'volume.json',
  grant: 'grant',
  keys: 'keys',
  packs: 'packs',
  checkpoints: 'checkpoints',
  custody: 'custody.log',
  manifest: 'manifest',
  seal: 'seal.json',
} as const

/** Names of files on a drive. A reader goes by what is inside a file, never by its name. */
export const keyRecordPath = (epoch: EpochId): string => `${DRIVE.keys}/${epoch}`
export const packPath = (pack: PackId): string => `${DRIVE.packs}/${pack}.pack`
export const checkpointPath = (number: number): string => `${DRIVE.checkpoints}/${numbered(number)}`
export const manifestPath = (number: number): string => `${DRIVE.manifest}/${numbered(number)}.slm`
const numbered = (number: number): string => String(number).padStart(8, '0')

const VOLUME_LIMIT = 4096

export function encodeVolume(volume: Volume): Buffer {
  return Buffer.from(`${JSON.stringify(volume, null, 2)}\n`, 'utf8')
}

/** @throws FormatError "malformed" | "unsupported" | "limit" */
export function parseVolume(bytes: Uint8Array): Volume {
  const map = jsonMap(bytes, VOLUME_LIMIT, DRIVE.volume)
  if (map.format !== 1)
    throw new FormatError(
      'unsupported',
      `${DRIVE.volume}: format ${String(map.format).slice(0, 20)}; this reader knows 1`,
    )
  const number = map.number
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 1)
    throw new FormatError('malformed', `${DRIVE.volume}: "number" wanted 1 or more`)
  return {
    format: 1,
    job: parseId(textOf(map, 'job'), 'job'),
    device: parseId(textOf(map, 'device'), 'device'),
    drive: parseId(textOf(map, 'drive'), 'drive'),
    number,
    createdAt: textOf(map, 'createdAt'),
  }
}

/** `seal.json`: what `seal` says to whoever must know which seal is the newest. @see FORMAT.md §7.5 */
export type SealFile = {
  format: 1
  job: JobId
  device: DeviceId
  sealNumber: number
  code: string
  objects: number
  bytes: number
  sealedAt: string
}

export function encodeSealFile(seal: SealFile): Buffer {
  return Buffer.from(`${JSON.stringify(seal, null, 2)}\n`, 'utf8')
}

export function parseSealFile(bytes: Uint8Array): SealFile {
  const map = jsonMap(bytes, VOLUME_LIMIT, DRIVE.seal)
  if (map.format !== 1) throw new FormatError('unsupported', `${DRIVE.seal}: format ${String(map.format).slice(0, 20)}`)
  return {
    format: 1,
    job: parseId(textOf(map, 'job'), 'job'),
    device: parseId(textOf(map, 'device'), 'device'),
    sealNumber: countOf(map, 'sealNumber'),
    code: textOf(map, 'code'),
    objects: countOf(map, 'objects'),
    bytes: countOf(map, 'bytes'),
    sealedAt: textOf(map, 'sealedAt'),
  }
}

function jsonMap(bytes: Uint8Array, limit: number, what: string): Record<string, unknown> {
  if (bytes.length > limit) throw new FormatError('limit', `${what}: at most ${limit} bytes, found ${bytes.length}`)
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (cause) {
    throw new FormatError('malformed', `${what}: not JSON`, { cause })
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new FormatError('malformed', `${what}: wanted an object`)
  return { ...value }
}

function textOf(map: Record<string, unknown>, name: string): string {
  const value = map[name]
  if (typeof value !== 'string') throw new FormatError('malformed', `"${name}" wanted text`)
  return value
}

function countOf(map: Record<string, unknown>, name: string): number {
  const value = map[name]
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new FormatError('malformed', `"${name}" wanted a whole number`)
  return value
}

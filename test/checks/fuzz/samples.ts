import { readFileSync } from 'node:fs'
import { decodeCbor } from '../../../format/cbor.ts'
import { parseSigned } from '../../../format/signed.ts'
import { makeSmallDrive } from '../../format/small-drive.ts'
import { READERS, type VectorFile } from '../../format/vector-readers.ts'

/** Sound inputs: the format's vectors, with what reads them, and a whole small drive. */
export type VectorCase = { bytes: Buffer; read: (bytes: Buffer) => Promise<unknown> }

export function vectorCases(structure: string): VectorCase[] {
  const path = new URL(`../../vectors/sealift/${structure}.json`, import.meta.url)
  const file = JSON.parse(readFileSync(path, 'utf8')) as VectorFile
  const reader = READERS[structure]
  if (reader === undefined) throw new Error(`nothing reads the vectors of ${structure}`)
  return file.cases.map(each => ({
    bytes: Buffer.from(each.bytes, 'base64'),
    read: bytes => reader(each.inputs, bytes),
  }))
}

export const vectorBytes = (structure: string): Buffer[] => vectorCases(structure).map(each => each.bytes)

export type SmallDrive = Awaited<ReturnType<typeof makeSmallDrive>>
let made: Promise<SmallDrive> | null = null
export function smallDrive(): Promise<SmallDrive> {
  made ??= makeSmallDrive()
  return made
}

/** What a signed message says, as CBOR: to be changed, and signed again. */
export function payloadOf(kind: Parameters<typeof parseSigned>[1], signed: Uint8Array): Buffer {
  const { payload } = parseSigned(signed, kind)
  decodeCbor(payload, 4 << 20, kind)
  return payload
}

export const text = (...lines: string[]): Buffer[] => lines.map(line => Buffer.from(line))

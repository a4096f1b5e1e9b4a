/** How bytes are given to parsers that do not take bytes. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SettingsFile } from '../../../agent/settings.ts'
import { decodeCbor } from '../../../format/cbor.ts'
import { type MessageKind, signMessage } from '../../../format/signed.ts'
import type { S3Request } from '../../../store/s3/message.ts'
import { newSigner } from '../../format/signer.ts'

/** "METHOD target" and header lines, as wire strings. */
export function requestOf(bytes: Buffer): S3Request {
  const [start = '', ...lines] = bytes.toString('latin1').split('\n')
  const [method = '', target = ''] = start.split(' ')
  const cut = target.indexOf('?')
  return {
    method,
    rawPath: cut < 0 ? target : target.slice(0, cut),
    rawQuery: cut < 0 ? '' : target.slice(cut + 1),
    headers: lines.map((line): [string, string] => {
      const colon = line.indexOf(':')
      return colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).trim()]
    }),
    body: chunksOf(Buffer.alloc(0)),
  }
}

/** In pieces, as from a socket. */
export async function* chunksOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  const size = 1 + (bytes.length % 7) * 100
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const signer = newSigner()

/** The value, signed as a message of that kind, and read. */
export async function resigned(
  kind: MessageKind,
  payload: Buffer,
  verify: (bytes: Uint8Array, signer: Uint8Array) => unknown,
): Promise<void> {
  verify(await signMessage(kind, decodeCbor(payload, 1 << 20, kind), signer.sign), signer.spki)
}

/** The agent's settings file, as a device finds it. */
export async function openSettings(bytes: Buffer): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-settings-'))
  try {
    writeFileSync(join(directory, 'settings.json'), bytes)
    await SettingsFile.open(directory)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

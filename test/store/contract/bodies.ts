import { createHash } from 'node:crypto'

export async function* pieces(bytes: Buffer, size = 64 * 1024): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

export async function* held(body: string, opened: Promise<void>): AsyncIterable<Uint8Array> {
  await opened
  yield Buffer.from(body)
}

export function waiting(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export function pattern(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  for (let at = 0; at < size; at++) bytes[at] = (at * 31 + (at >>> 8)) & 0xff
  return bytes
}

export function md5(body: string | Buffer): string {
  return createHash('md5').update(body).digest('hex')
}

import { createHash } from 'node:crypto'
import type { ChunkClaim } from '../../access/chunk-claim.ts'
import { AccessError } from '../../access/fault.ts'
import { S3Error } from './fault.ts'
import type { Admission } from './gate.ts'

export type ChunkedMode = { signed: boolean; trailer: boolean }

const modes: Record<string, ChunkedMode> = {
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD': { signed: true, trailer: false },
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER': { signed: true, trailer: true },
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER': { signed: false, trailer: true },
}

/** `null`: not an aws-chunked payload. */
export function chunkedMode(payload: string | null | undefined): ChunkedMode | null {
  return modes[payload ?? ''] ?? null
}

/** A line is a chunk's head (16 digits of size, 85 of signature) or one trailer. */
const longestLine = 1024
const mostTrailers = 8
/** Claims judged at once: a batch may be a message to another process. */
const batch = 32

export type ChunkedOptions = {
  mode: ChunkedMode
  /** x-amz-decoded-content-length */
  length: number
  /** lower-case names announced in x-amz-trailer */
  trailers: readonly string[]
  chunks?: Admission['chunks']
  /** each trailer as it comes, before the body ends */
  onTrailer(name: string, value: string): void
}

/**
 * The bytes inside an aws-chunked body. Strict: CR LF everywhere, only announced trailers, nothing after the end, exactly `length`
 * bytes. Of a signed body the iteration ends only when every claim was judged good, the final chunk and the trailers among them.
 *
 * @throws S3Error "IncompleteBody", "InvalidRequest", "MalformedTrailerError"; AccessError "signature-mismatch"
 */
export async function* decodeChunked(
  body: AsyncIterable<Uint8Array>,
  options: ChunkedOptions,
): AsyncGenerator<Uint8Array> {
  const { mode, length, chunks } = options
  if (mode.signed && !chunks) throw new AccessError('unsupported', 'signed chunks need a signed request')
  const input = new Input(body)
  const claims: ChunkClaim[] = []
  let previous = chunks?.seed.signature ?? ''
  const claim = async (kind: ChunkClaim['kind'], digest: string, signature: string, last: boolean): Promise<void> => {
    if (!chunks) return
    const { time, date, region } = chunks.seed
    claims.push({ kind, time, date, region, previous, digest, signature })
    previous = signature
    if (last || claims.length === batch) await chunks.judge(claims.splice(0))
  }
  try {
    let total = 0
    for (;;) {
      const head = parseHead(await input.line(), mode.signed)
      total += head.size
      if (total > length) throw invalid('more bytes than x-amz-decoded-content-length says')
      const hash = createHash('sha256')
      for (let left = head.size; left > 0; ) {
        const piece = await input.some(left)
        left -= piece.length
        if (mode.signed) hash.update(piece)
        yield piece
      }
      if (head.size > 0) {
        if ((await input.line()) !== '') throw invalid('a chunk must end with CR LF')
        await claim('chunk', hash.digest('hex'), head.signature, false)
        continue
      }
      if (total !== length) throw incomplete(`${total} bytes came, x-amz-decoded-content-length says ${length}`)
      await claim('chunk', hash.digest('hex'), head.signature, !mode.trailer)
      break
    }
    await readTrailers(input, options, claim)
    await input.end()
  } finally {
    await input.leave()
  }
}

type Claim = (kind: 'trailer', digest: string, signature: string, last: boolean) => Promise<void>

async function readTrailers(input: Input, options: ChunkedOptions, claim: Claim): Promise<void> {
  const { mode, trailers } = options
  if (!mode.trailer) {
    if ((await input.line()) !== '') throw invalid('the last chunk must be followed by an empty line')
    return
  }
  const seen: string[] = []
  let signature: string | undefined
  let signedText = ''
  for (;;) {
    const line = await input.line()
    if (line === '') break
    const cut = line.indexOf(':')
    const name = line.slice(0, Math.max(cut, 0)).toLowerCase()
    const value = line.slice(cut + 1).trim()
    if (signature !== undefined) throw trailerFault('x-amz-trailer-signature must come last')
    if (mode.signed && name === 'x-amz-trailer-signature') {
      if (!/^[0-9a-f]{64}$/.test(value)) throw trailerFault('x-amz-trailer-signature must be 64 hex digits')
      signature = value
      continue
    }
    if (!trailers.includes(name) || seen.includes(name))
      throw trailerFault('a trailer that x-amz-trailer does not announce')
    if (seen.length === mostTrailers) throw trailerFault(`more than ${mostTrailers} trailers`)
    seen.push(name)
    signedText += `${name}:${value}\n`
    options.onTrailer(name, value)
  }
  if (seen.length !== trailers.length) throw trailerFault('an announced trailer did not come')
  if (!mode.signed) return
  if (signature === undefined) throw trailerFault('x-amz-trailer-signature is missing')
  await claim('trailer', createHash('sha256').update(signedText, 'latin1').digest('hex'), signature, true)
}

function parseHead(line: string, signed: boolean): { size: number; signature: string } {
  const head = signed
    ? /^([0-9a-fA-F]{1,13});chunk-signature=([0-9a-f]{64})$/.exec(line)
    : /^([0-9a-fA-F]{1,13})()$/.exec(line)
  // 13 hex digits: below 2^53
  const [, size, signature] = head ?? []
  if (size === undefined || signature === undefined) throw invalid('malformed head of a chunk')
  return { size: Number.parseInt(size, 16), signature }
}

/** Reads lines and runs of bytes off a stream; holds one chunk of the stream, and at most one line beyond it. */
class Input {
  private readonly source: AsyncIterator<Uint8Array>
  private held: Buffer = Buffer.alloc(0)

  constructor(body: AsyncIterable<Uint8Array>) {
    this.source = body[Symbol.asyncIterator]()
  }

  /** Between 1 and `most` bytes. */
  async some(most: number): Promise<Buffer> {
    if (this.held.length === 0 && !(await this.more())) throw incomplete('the body ends inside a chunk')
    const piece = this.held.subarray(0, most)
    this.held = this.held.subarray(piece.length)
    return piece
  }

  /** Up to CR LF, which is dropped. */
  async line(): Promise<string> {
    for (;;) {
      const at = this.held.subarray(0, longestLine + 2).indexOf('\r\n')
      if (at >= 0) {
        const line = this.held.toString('latin1', 0, at)
        this.held = this.held.subarray(at + 2)
        return line
      }
      if (this.held.length >= longestLine + 2) throw invalid(`a line of more than ${longestLine} bytes`)
      if (!(await this.more())) throw incomplete('the body ends inside a line')
    }
  }

  async end(): Promise<void> {
    if (this.held.length > 0 || (await this.more())) throw invalid('bytes after the end of the chunked body')
  }

  async leave(): Promise<void> {
    await this.source.return?.()
  }

  private async more(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.source.next()
      if (done) return false
      if (value.length === 0) continue
      const next = Buffer.from(value.buffer, value.byteOffset, value.length)
      this.held = this.held.length === 0 ? next : Buffer.concat([this.held, next])
      return true
    }
  }
}

function invalid(message: string): S3Error {
  return new S3Error('InvalidRequest', `aws-chunked body: ${message}`)
}
function incomplete(message: string): S3Error {
  return new S3Error('IncompleteBody', message)
}
function trailerFault(message: string): S3Error {
  return new S3Error('MalformedTrailerError', message)
}

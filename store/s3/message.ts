/**
 * Requests and responses of the face: what handlers see, without a port. Strings are wire strings, one character per byte.
 */
export type S3Request = {
  method: string
  /** before `?`, as on the request line */
  rawPath: string
  /** after `?`; empty when there is none */
  rawQuery: string
  /** in order of arrival, names as sent */
  headers: readonly (readonly [name: string, value: string])[]
  /** read at most once; leaving it early does not cut the connection */
  body: AsyncIterable<Uint8Array>
  /** address of the caller, where there is one */
  remote?: string
}

export type S3Response = {
  status: number
  headers: [name: string, value: string][]
  /** null: none. Of a stream, `content-length` is among the headers. */
  body: Uint8Array | AsyncIterable<Uint8Array> | null
  /** called when the last of a body at hand is with the kernel */
  sent?: () => void
}

/** First value of a header by lower-case name; `undefined` when absent. */
export function header(request: Pick<S3Request, 'headers'>, name: string): string | undefined {
  for (const [raw, value] of request.headers)
    if (raw.length === name.length && raw.toLowerCase() === name) return value.trim()
  return undefined
}

/**
 * A header that Amazon and Google name alike but for their own word: `x-amz-copy-source`, `x-goog-copy-source`.
 * @returns undefined - absent, or there in both names: it would be asked for twice
 */
export function eitherHeader(request: Pick<S3Request, 'headers'>, name: string): string | undefined {
  const [amz, goog] = [header(request, `x-amz-${name}`), header(request, `x-goog-${name}`)]
  return amz !== undefined && goog !== undefined ? undefined : (amz ?? goog)
}

/** Text as the wire string of its UTF-8 bytes. */
export function toWire(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

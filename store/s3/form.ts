import { Busboy, type BusboyFileStream, type BusboyInstance } from '@fastify/busboy'
import type { FormFields } from '../../access/form-signature.ts'
import { S3Error } from './fault.ts'

/** A form as browsers send it (RFC 7578): its fields, and the file that stands last. What comes after the file is not looked at. */
export type Form = {
  fields: FormFields
  /** without a path */
  filename: string
  /** read once */
  file: AsyncIterable<Uint8Array>
  /** Frees what is held; of a file that was not read to its end, too. */
  leave(): void
}

const FIELDS_MAX = 100
/** Of all names and values together. */
const FIELDS_BYTES = 20 << 10
/** Of everything before the file: heads of parts and boundaries too. */
const BEFORE_FILE_BYTES = 128 << 10
const NAME = /^[!-~]{1,128}$/

/**
 * Reads the fields; the file's bytes stay where they are.
 * @throws S3Error "MalformedPOSTRequest" | "MaxPostPreDataLengthExceededError" | "InvalidArgument"
 */
export async function openForm(contentType: string, body: AsyncIterable<Uint8Array>): Promise<Form> {
  const parser = parserOf(contentType)
  const fields = new Map<string, string>()
  let size = 0
  const opened = Promise.withResolvers<Form>()
  const end = new AbortController()
  let file: BusboyFileStream | null = null
  let fault: unknown = null
  const fail = (error: unknown): void => {
    fault ??= error
    opened.reject(error)
    file?.destroy(incomplete())
    end.abort()
  }
  parser.on('field', (name: unknown, value, _, truncated) => {
    if (file !== null) return
    if (typeof name !== 'string' || !NAME.test(name)) return fail(malformed('a field without a name that can be'))
    const key = name.toLowerCase()
    size += name.length + Buffer.byteLength(value)
    if (truncated || size > FIELDS_BYTES) return fail(tooLong())
    if (fields.has(key)) return fail(new S3Error('InvalidArgument', `The field ${key} came more than once.`))
    fields.set(key, value)
  })
  parser.on('file', (_, stream, filename: string | undefined) => {
    if (file !== null) return void stream.resume()
    file = stream
    stream.on('error', () => stream.destroy(incomplete())).once('close', () => end.abort())
    const leave = () => void stream.destroy()
    opened.resolve({ fields, filename: filename ?? '', file: bytesOf(stream, () => fault), leave })
  })
  for (const limit of ['fieldsLimit', 'partsLimit'] as const) parser.on(limit, () => file ?? fail(tooLong()))
  parser.on('error', () => fail(file === null ? malformed('no multipart/form-data') : incomplete()))
  parser.on('finish', () => {
    if (file === null) fail(malformed('a form has one file, in the field named file'))
  })
  void feed(parser, body, end.signal, () => file !== null).catch(fail)
  return opened.promise
}

/** @param fault - why it broke, when that is known */
async function* bytesOf(stream: BusboyFileStream, fault: () => unknown): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of stream) yield chunk
  } catch (error) {
    throw fault() ?? error
  }
}

/** Till the file has ended, the parser is broken or nobody wants more. */
async function feed(
  parser: BusboyInstance,
  body: AsyncIterable<Uint8Array>,
  end: AbortSignal,
  inFile: () => boolean,
): Promise<void> {
  let before = 0
  let wake: () => void = () => undefined
  // one for the whole body: a listener a piece would grow with it
  end.addEventListener('abort', () => wake())
  for await (const chunk of body) {
    if (end.aborted) return
    before += chunk.length
    // a file that nobody reads on with holds the parser: its end frees the body
    await new Promise<void>(resolve => {
      wake = resolve
      parser.write(chunk, () => resolve())
    })
    if (end.aborted) return
    if (!inFile() && before > BEFORE_FILE_BYTES) throw tooLong()
  }
  parser.end()
}

function parserOf(contentType: string): BusboyInstance {
  try {
    return new Busboy({
      headers: { 'content-type': contentType },
      // browsers and libraries give other fields names of files too
      isPartAFile: name => name?.toLowerCase() === 'file',
      limits: { fieldSize: FIELDS_BYTES, fields: FIELDS_MAX, parts: FIELDS_MAX + 1, headerPairs: 20, headerSize: 4096 },
    })
  } catch (cause) {
    throw new S3Error('MalformedPOSTRequest', 'want multipart/form-data with a boundary', { cause })
  }
}

function malformed(what: string): S3Error {
  return new S3Error('MalformedPOSTRequest', `The body of your POST request is not well-formed: ${what}.`)
}

function incomplete(): S3Error {
  return new S3Error('IncompleteBody', 'The form ended in the middle of its file.')
}

function tooLong(): S3Error {
  return new S3Error(
    'MaxPostPreDataLengthExceededError',
    `Your POST request fields preceding the upload file were too large: at most ${FIELDS_MAX}, ${FIELDS_BYTES} bytes.`,
  )
}

import { percentDecode, utf8Text, type WireHeader } from './canonical.ts'
import { AccessError } from './fault.ts'

/** Which objects of a bucket a request wants exported, and with which job. `prefix` empty: all of them. */
export type ExportAsk = { job: string; prefix: string }

const JOB = 'x-storage-export-job'
const PREFIX = 'x-storage-export-prefix'
const PREFIX_BYTES_MAX = 1024
/** What a signature takes as it stands: no blank that may be doubled, no comma where two headers may have been joined. */
const AS_SIGNED = /^(?:[A-Za-z0-9._~!*'()/-]|%[0-9A-Fa-f]{2})*$/

/**
 * Both headers must be there, once: a prefix that is left out by accident, or on the way, must not be all of the bucket.
 *
 * @param headers - to be believed, the signed ones
 * @throws AccessError "malformed-export"
 */
export function parseExportAsk(headers: readonly WireHeader[]): ExportAsk {
  const job = theOne(headers, JOB)
  if (!/^[0-9a-f]{32}$/.test(job)) throw malformed(`${JOB}: want the 32 hex digits of a job`)
  const raw = theOne(headers, PREFIX)
  const bytes = AS_SIGNED.test(raw) ? percentDecode(raw) : null
  const prefix = bytes && utf8Text(bytes)
  if (bytes === null || prefix === null || bytes.length > PREFIX_BYTES_MAX)
    throw malformed(`${PREFIX}: want at most ${PREFIX_BYTES_MAX} bytes of UTF-8, percent-encoded`)
  return { job, prefix }
}

function theOne(headers: readonly WireHeader[], wanted: string): string {
  const [first, second] = headers.filter(([name]) => name.toLowerCase() === wanted)
  if (first === undefined || second !== undefined)
    throw malformed(`an export is ordered with ${JOB} and ${PREFIX}, each once; an empty prefix is the whole bucket`)
  return first[1].trim()
}

function malformed(message: string): AccessError {
  return new AccessError('malformed-export', message)
}

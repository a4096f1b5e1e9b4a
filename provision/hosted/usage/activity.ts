import pino from 'pino'
import type { Admitted, Ended } from '../../../store/s3/watch.ts'

/** What one request came to. */
export type Action = {
  requestId: string
  /** ms since 1970 */
  started: number
  remote: string | null
  verb: string
  /** null: it was not let in */
  admitted: Admitted | null
} & (Ended | { refused: string })
export type Activity = (action: Action) => void
export type ActivityLog = {
  note: Activity
  /** Goes on in a new file of the same name: the old one was moved away. */
  reopen(): void
  close(): Promise<void>
}

/**
 * A line of JSON a request, as it ends, 0600. Names of objects are left out unless they are asked for: logs go where objects do not.
 * @throws Error - the file cannot be opened
 */
export async function openActivity(
  path: string,
  options: { keys: boolean; clock: () => number },
): Promise<ActivityLog> {
  const file = pino.destination({ dest: path, sync: false, mkdir: true, mode: 0o600, minLength: 4096 })
  await new Promise<void>((resolve, reject) => file.once('ready', resolve).once('error', reject))
  // a log that cannot be written must not end the store; the next line tries again
  file.on('error', () => undefined)
  const flush = setInterval(() => file.flush(), FLUSH_MS)
  flush.unref()
  let closing: Promise<void> | undefined
  return {
    note(action) {
      const { requestId, started, remote, verb, admitted } = action
      const done = 'refused' in action ? { status: 503, code: action.refused, bytesIn: 0, bytesOut: 0 } : action
      const line = {
        time: new Date(started).toISOString(),
        request: requestId,
        ms: options.clock() - started,
        address: remote,
        user: admitted?.principal?.id ?? null,
        verb,
        bucket: admitted?.bucket ?? null,
        ...(options.keys && { key: admitted?.key ?? null }),
        status: done.status,
        code: done.code,
        bytesIn: done.bytesIn,
        bytesOut: done.bytesOut,
      }
      file.write(`${JSON.stringify(line)}\n`)
    },
    reopen: () => file.reopen(),
    async close() {
      clearInterval(flush)
      closing ??= new Promise<void>(resolve => {
        file.once('close', resolve)
        file.end()
      })
      await closing
    },
  }
}

const FLUSH_MS = 1000

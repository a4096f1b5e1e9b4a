import { once } from 'node:events'
import { chmod, rm } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { CommandFault } from '../command-fault.ts'
import { IntakeError, type IntakeFault } from '../intake/finding.ts'
import type { Report } from '../intake/report.ts'
import type { Progress } from '../intake/work.ts'
import { exitCodeOf } from '../operator.ts'
import type { IntakeRequest } from './take-in.ts'

/**
 * `intake.sock` of a running provider (0600): POST an intake request as JSON; the answer is lines of JSON, `{"progress": …}` as often as
 * there is news and last `{"report": …}` or `{"fault": …}`.
 */
export function intakeSocketPath(state: string): string {
  return join(state, 'intake.sock')
}

const path = z.string().min(1).max(4096)
const schema = z.strictObject({
  drives: z.array(path).min(1).max(1000),
  freshness: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('seal-code'), code: z.string().max(64) }),
      z.strictObject({ kind: z.literal('seal-file'), path }),
      z.strictObject({ kind: z.literal('overridden'), by: z.string().min(1).max(256) }),
    ])
    .nullable(),
  level: z.enum(['digest', 'key']),
  check: z.boolean(),
})
const REQUEST_LIMIT = 1 << 20

const INTAKE_EXIT: Record<IntakeFault, number> = { 'no-drive': 69, 'wrong-job': 65, stopped: 75 }

function exitOf(error: unknown): number {
  return error instanceof IntakeError ? INTAKE_EXIT[error.fault] : exitCodeOf(error)
}

export type TakeIn = (
  request: IntakeRequest,
  progress: (progress: Progress) => void,
  signal: AbortSignal,
) => Promise<Report>

export async function serveIntake(socket: string, takeIn: TakeIn): Promise<{ close(): Promise<void> }> {
  await rm(socket, { force: true })
  const running = new Set<AbortController>()
  // one at a time: two would adopt the same packs
  let last: Promise<unknown> = Promise.resolve()
  const server = createServer((incoming, outgoing) => {
    const stop = new AbortController()
    running.add(stop)
    outgoing.once('close', () => stop.abort())
    // whoever asked may go at any time, between two lines too: 'close' says so
    outgoing.on('error', () => undefined)
    const say = (line: object): void => {
      if (!outgoing.destroyed) outgoing.write(`${JSON.stringify(line)}\n`)
    }
    const work = async (): Promise<void> => {
      try {
        const chunks: Buffer[] = []
        let size = 0
        for await (const chunk of incoming) {
          size += chunk.length
          if (size > REQUEST_LIMIT) throw new RangeError('intake request: too long')
          chunks.push(chunk)
        }
        const asked = schema.parse(JSON.parse(Buffer.concat(chunks).toString('utf8')))
        const turn = last.catch(() => undefined).then(() => takeIn(asked, progress => say({ progress }), stop.signal))
        last = turn
        say({ report: await turn })
      } catch (error) {
        say({ fault: { exit: exitOf(error), message: error instanceof Error ? error.message : String(error) } })
      } finally {
        running.delete(stop)
        outgoing.end()
      }
    }
    void work()
  })
  server.requestTimeout = 0
  server.listen(socket)
  await once(server, 'listening')
  await chmod(socket, 0o600)
  return {
    async close() {
      for (const each of running) each.abort()
      server.close()
      server.closeAllConnections()
      await last.catch(() => undefined)
    },
  }
}

/** Asks a running provider; null when none runs there. @throws CommandFault */
export async function askIntake(
  socket: string,
  asked: IntakeRequest,
  progress: (progress: Progress) => void,
): Promise<Report | null> {
  const outgoing = request({ socketPath: socket, method: 'POST', path: '/' })
  outgoing.end(JSON.stringify(asked))
  try {
    const [incoming] = await once(outgoing, 'response')
    // a provider that is killed breaks the connection for both: it is said once, by what is read
    outgoing.on('error', () => undefined)
    for await (const line of createInterface({ input: incoming })) {
      const value = JSON.parse(line) as {
        progress?: Progress
        report?: Report
        fault?: { exit: number; message: string }
      }
      if (value.progress !== undefined) progress(value.progress)
      if (value.report !== undefined) return value.report
      if (value.fault !== undefined) throw new CommandFault(value.fault.message, value.fault.exit)
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return null
    if (code !== 'ECONNRESET' && code !== 'EPIPE') throw error
  }
  throw new CommandFault('the provider went away before it answered; run the same command again', 75)
}

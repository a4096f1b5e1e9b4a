/** The real `sealift` command as a process. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Prepared } from './prepared.ts'

const SEALIFT = fileURLToPath(new URL('../../bin/sealift', import.meta.url))

type Place = Pick<Prepared, 'state' | 'drive'> & Partial<Pick<Prepared, 'environment'>>

export type Outcome = { code: number | null; stdout: string; stderr: string }

/** Runs one command to its end. `input` is given on descriptor 3, for `--code-fd 3`. */
export function sealift(prepared: Place, args: string[], input: string | null = null): Promise<Outcome> {
  const child = start(prepared, args, input)
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', chunk => {
    stdout += String(chunk)
  })
  child.stderr?.on('data', chunk => {
    stderr += String(chunk)
  })
  return new Promise(resolve => child.once('close', code => resolve({ code, stdout, stderr })))
}

function start(prepared: Place, args: string[], input: string | null): ChildProcess {
  const code = input === null ? [] : ['--code-fd', '3']
  const child = spawn(SEALIFT, ['--state', prepared.state, '--drive', prepared.drive, ...code, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', input === null ? 'ignore' : 'pipe'],
    env: { PATH: process.env.PATH, ...prepared.environment },
  })
  const pipe = child.stdio[3]
  if (input !== null && pipe !== null && pipe !== undefined && 'end' in pipe) {
    // a command that needs no code closes the descriptor unread
    pipe.on('error', () => undefined)
    pipe.end(`${input}\n`)
  }
  return child
}

export type Running = {
  url: string
  port: number
  process: ChildProcess
  kill(): Promise<void>
  stop(): Promise<number | null>
  errors(): string
}

/** Starts `serve` on a free port and waits for its ready line. */
export async function startAgent(prepared: Prepared, options: { locked?: true } = {}): Promise<Running> {
  const child = start(prepared, ['serve', '--listen', '127.0.0.1:0'], options.locked ? null : prepared.code)
  prepared.running.add(child)
  child.once('close', () => prepared.running.delete(child))
  let errors = ''
  child.stderr?.on('data', chunk => {
    errors += String(chunk)
  })
  const closed = new Promise<number | null>(resolve => child.once('close', resolve))
  const lines = createInterface({ input: child.stdout ?? process.stdin })
  const line = await new Promise<string>((resolve, reject) => {
    lines.once('line', resolve)
    void closed.then(code => reject(new Error(`sealift serve ended with ${code}: ${errors}`)))
  })
  const ready = JSON.parse(line) as { s3: string; port: number }
  return {
    url: ready.s3,
    port: ready.port,
    process: child,
    errors: () => errors,
    async kill() {
      child.kill('SIGKILL')
      await closed
    },
    async stop() {
      child.kill('SIGTERM')
      return closed
    },
  }
}

/** The project's own commands as real processes, spoken to as a person's script would. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export type CommandName = 'sealift' | 'sealift-provider' | 'sealift-verify'
export type Outcome = { code: number | null; stdout: string; stderr: string }
export type RunOptions = {
  /** handed over on descriptor 3 */
  secret?: string
  onStderr?: (text: string) => void
}

export const commandPath = (name: CommandName): string => fileURLToPath(new URL(`../../bin/${name}`, import.meta.url))

function start(name: CommandName, args: string[], options: RunOptions): ChildProcess {
  const child = spawn(commandPath(name), args, {
    stdio: ['ignore', 'pipe', 'pipe', options.secret === undefined ? 'ignore' : 'pipe'],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: process.env.TMPDIR },
  })
  const pipe = child.stdio[3]
  if (options.secret !== undefined && pipe !== null && pipe !== undefined && 'end' in pipe) {
    pipe.on('error', () => undefined)
    pipe.end(`${options.secret}\n`)
  }
  return child
}

/** Runs to the end, whatever the exit code. */
export function run(name: CommandName, args: string[], options: RunOptions = {}): Promise<Outcome> {
  const child = start(name, args, options)
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', chunk => {
    stdout += String(chunk)
  })
  child.stderr?.on('data', chunk => {
    stderr += String(chunk)
    options.onStderr?.(String(chunk))
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => resolve({ code, stdout, stderr }))
  })
}

/** Runs a command that must succeed, with `--json`. @returns its document */
export async function ask<T>(name: CommandName, args: string[], options: RunOptions = {}): Promise<T> {
  const { code, stdout, stderr } = await run(name, ['--json', ...args], options)
  if (code !== 0) throw new Error(`${name} ${args.join(' ')}: exit ${code}\n${stderr}${stdout}`)
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as T
}

export type Service<T> = { ready: T; process: ChildProcess; stop(): Promise<number | null> }

/** Starts a command that goes on until it is stopped, and waits for its line of JSON. */
export async function serve<T>(name: CommandName, args: string[], options: RunOptions = {}): Promise<Service<T>> {
  const child = start(name, args, options)
  let stderr = ''
  child.stderr?.on('data', chunk => {
    stderr = (stderr + String(chunk)).slice(-10_000)
    options.onStderr?.(String(chunk))
  })
  const closed = new Promise<number | null>(resolve => child.once('close', resolve))
  const lines = createInterface({ input: child.stdout ?? process.stdin })
  const line = await new Promise<string>((resolve, reject) => {
    lines.once('line', resolve)
    child.once('error', reject)
    void closed.then(code => reject(new Error(`${name} ${args.join(' ')}: ended with ${code}\n${stderr}`)))
  })
  return {
    ready: JSON.parse(line) as T,
    process: child,
    async stop() {
      child.kill('SIGTERM')
      return closed
    },
  }
}

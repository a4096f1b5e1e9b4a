/** Our device under measure: set up, unlocked and serving before a round begins, as its owner would have it. Public commands and the S3 port only. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Credentials } from '../access/sign.ts'
import { sealift } from '../test/agent/agent.ts'
import { type Prepared, prepareDevice } from '../test/agent/prepared.ts'
import { commandPath } from '../test/quickstart/commands.ts'
import { noteTimes, profiling } from './profile.ts'
import type { Endpoint } from './requests.ts'

export type Agent = {
  process: ChildProcess
  pid: number
  port: number
  /** from the start of the process to its ready line */
  readySeconds: number
  kill(): Promise<void>
  stop(): Promise<void>
}
export type BenchDevice = { prepared: Prepared; agent: Agent; endpoint: Endpoint; close(): Promise<void> }

export const BUCKET = 'photos'

type DeviceOptions = Parameters<typeof prepareDevice>[0]

/**
 * The epoch does not end for rest: a checkpoint in the middle of a peer's round would slow that peer.
 *
 * @param more - further arguments of `sealift`
 */
export async function openDevice(options: DeviceOptions = {}, more: string[] = []): Promise<BenchDevice> {
  const prepared = await prepareDevice({ ...options, limits: { idleSeconds: 3600, ...options?.limits } })
  try {
    const agent = await startAgent(prepared, more)
    const credentials = await askDevice<Credentials>(prepared, 'credentials')
    const endpoint = { port: agent.port, bucket: BUCKET, credentials }
    return {
      prepared,
      agent,
      endpoint,
      async close() {
        await agent.stop()
        await prepared.remove()
      },
    }
  } catch (error) {
    await prepared.remove()
    throw error
  }
}

/** One command of the device's; must succeed. @returns its document */
export async function askDevice<T>(prepared: Pick<Prepared, 'state' | 'drive'>, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await sealift(prepared, ['--json', ...args])
  if (code !== 0) throw new Error(`sealift ${args.join(' ')} ended with ${code}: ${stderr || stdout.slice(-2000)}`)
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as T
}

type Place = Pick<Prepared, 'state' | 'drive' | 'code' | 'running'>

/** `sealift serve`, unlocked: ready when it says so. */
export async function startAgent(prepared: Place, more: string[] = []): Promise<Agent> {
  const from = performance.now()
  const place = ['--state', prepared.state, '--drive', prepared.drive, ...more]
  const child = spawn(commandPath('sealift'), [...place, '--code-fd', '3', 'serve', '--listen', '127.0.0.1:0'], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, ...profiling() },
  })
  prepared.running.add(child)
  child.once('close', () => prepared.running.delete(child))
  let errors = ''
  child.stderr?.on('data', chunk => {
    errors = (errors + String(chunk)).slice(-4000)
  })
  const pipe = child.stdio[3]
  if (pipe !== null && pipe !== undefined && 'end' in pipe) pipe.end(`${prepared.code}\n`)
  const closed = once(child, 'close')
  const line = await Promise.race([
    once(createInterface({ input: child.stdout ?? process.stdin }), 'line'),
    closed.then(([code]) => Promise.reject(new Error(`sealift serve ended with ${code}: ${errors}`))),
  ])
  const ready = JSON.parse(String(line[0])) as { port: number }
  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    noteTimes(child.pid ?? 0)
    child.kill(signal)
    await closed
  }
  return {
    process: child,
    pid: child.pid ?? 0,
    port: ready.port,
    readySeconds: (performance.now() - from) / 1000,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  }
}

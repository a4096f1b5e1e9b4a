import { type ChildProcess, spawn } from 'node:child_process'
import fs from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Limits, limitsOf } from './limits.ts'
import { type Ending, type Event, type Tally, tally } from './report.ts'

export interface FileResult extends Tally {
  readonly file: string
  readonly seconds: number
  /** The last of what the file printed on stdout and stderr, for the report of a failure. */
  readonly output: string
}

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url))
const OUTPUT_LENGTH = 8000
/** How long a process may live on after its last test, and what it left after itself. */
const LINGER_SECONDS = 5
const LEFTOVER_MILLISECONDS = 1000

/** Runs one test file in a process group of its own and kills what is left of the group; never throws for what the file does. */
export async function runTestFile(file: string, signal: AbortSignal): Promise<FileResult> {
  const started = performance.now()
  let limits: Limits
  try {
    limits = limitsOf(fs.readFileSync(file, 'utf8'))
  } catch (cause) {
    return {
      file,
      seconds: 0,
      output: '',
      passed: 0,
      notices: [],
      failures: [{ title: 'the file', error: String(cause) }],
    }
  }
  const child = spawn(process.execPath, [CHILD, file, String(limits.testSeconds)], {
    detached: true, // a process group, so that a time-out also ends what the tests started
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: childEnvironment(),
  })
  const abort = () => killGroup(child)
  signal.addEventListener('abort', abort)

  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_LENGTH)
    })
  }
  const events: Event[] = []
  const ending = await endingOf(child, limits, events)
  const leftovers = await endGroup(child)
  signal.removeEventListener('abort', abort)
  return { file, seconds: (performance.now() - started) / 1000, output, ...tally(events, ending, leftovers) }
}

function childEnvironment(): NodeJS.ProcessEnv {
  const { FORCE_COLOR: _, ...inherited } = process.env
  return { ...inherited, NO_COLOR: '1' }
}

async function endingOf(child: ChildProcess, limits: Limits, events: Event[]): Promise<Ending> {
  let forced: Ending | null = null
  const force = (ending: Ending) => {
    forced ??= ending
    killGroup(child)
  }
  const overdue = setTimeout(force, limits.fileSeconds * 1000, { kind: 'timed-out', seconds: limits.fileSeconds })
  let lingering: NodeJS.Timeout | undefined
  let rest = ''
  const channel = child.stdio[3]
  if (channel === null || channel === undefined || !('setEncoding' in channel))
    throw new Error('no channel to the test file')
  channel.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const event = JSON.parse(line) as Event
      events.push(event)
      if (event.kind === 'done') {
        lingering = setTimeout(force, LINGER_SECONDS * 1000, { kind: 'lingered', seconds: LINGER_SECONDS })
      }
    }
  })
  const channelEnd = new Promise<void>(resolve => channel.once('close', resolve))
  const exit = await new Promise<Ending>(resolve => {
    child.once('error', cause => resolve({ kind: 'signalled', signal: cause.message }))
    child.once('exit', (status, by) =>
      resolve(by === null ? { kind: 'exited', status: status ?? 1 } : { kind: 'signalled', signal: by }),
    )
  })
  clearTimeout(overdue)
  clearTimeout(lingering)
  await channelEnd
  return forced ?? exit
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ESRCH')) throw cause
  }
}

/** Waits a moment for the group to be gone, then ends it. @returns how many processes had to be ended */
async function endGroup(child: ChildProcess): Promise<number> {
  const deadline = performance.now() + LEFTOVER_MILLISECONDS
  let living = groupOf(child.pid)
  while (living > 0 && performance.now() < deadline) {
    await new Promise(resolve => setTimeout(resolve, 50))
    living = groupOf(child.pid)
  }
  if (living > 0) killGroup(child)
  return living
}

/** Living processes of a group; zombies that nobody reaps (a container without init) do not count. */
function groupOf(pid: number | undefined): number {
  if (pid === undefined) return 0
  try {
    process.kill(-pid, 0)
  } catch {
    return 0
  }
  return fs.readdirSync('/proc').filter(entry => /^\d+$/.test(entry) && isLivingMember(entry, pid)).length
}

function isLivingMember(entry: string, group: number): boolean {
  try {
    // pid (comm) state ppid pgrp …: comm may hold spaces and brackets, so read from its end (proc(5))
    const stat = fs.readFileSync(`/proc/${entry}/stat`, 'utf8')
    const [state, , pgrp] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return Number(pgrp) === group && state !== 'Z' && state !== 'X'
  } catch {
    return false // ended while we looked
  }
}

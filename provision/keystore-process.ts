import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { getCompileCacheDir } from 'node:module'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'

/** How the keystore process is started: its own program, its own configuration file, nothing of our environment. */
export type KeystoreProgram = {
  entry: string
  config: string
  /** HOST:PORT for processes on other machines; absent: none are let in */
  keys?: string
}

/** Where a keystore listens. */
export type KeystoreSockets = { release: string; administration: string; login: string }

/** A keystore process that is ready. It ends with us, however we do: its standard input is our end of a pipe. */
export type KeystoreProcess = KeystoreSockets & {
  processId: number
  /** for processes on other machines; null: none are let in */
  keys: string | null
  /** resolves when it has ended, for whatever reason */
  ended: Promise<void>
  close(): Promise<void>
}

/** The keystore did not do what it was started for; `exitCode` is its own. */
export class KeystoreStartError extends Error {
  override readonly name = 'KeystoreStartError'
  readonly exitCode: number

  constructor(message: string, exitCode: number) {
    super(message)
    this.exitCode = exitCode
  }
}

/** @throws KeystoreStartError */
export async function startKeystore(program: KeystoreProgram): Promise<KeystoreProcess> {
  const child = launch(program, 'serve')
  const line = await firstLine(child)
  const { release, administration, login, processId, keys } = line
  if (
    typeof release !== 'string' ||
    typeof administration !== 'string' ||
    typeof login !== 'string' ||
    typeof processId !== 'number'
  )
    throw await failed(child, line)
  const ended = once(child, 'exit').then(() => {})
  return {
    processId,
    release,
    administration,
    login,
    keys: typeof keys === 'string' ? keys : null,
    ended,
    async close() {
      child.stdin?.end()
      await ended
    },
  }
}

/** Makes the authority's token, keys and certificates. @returns what the keystore says of it */
export async function initialiseKeystore(program: KeystoreProgram): Promise<Record<string, unknown>> {
  const child = launch(program, 'initialise')
  const line = await firstLine(child)
  if (line.initialised !== true) throw await failed(child, line)
  if (child.exitCode === null) await once(child, 'exit')
  return line
}

/** Short-lived values by the thousand: room for them that stays small. As our own commands are started. */
const SMALL = ['--v8-pool-size=1', '--max-semi-space-size=8', '--max-old-space-size=192']
/** An identity provider may have its certificate from a CA that this machine's administrator trusts. */
const TRUST = ['--use-system-ca']

function launch({ entry, config, keys }: KeystoreProgram, command: string): ChildProcess {
  // all of ours that it is given: where its code lies compiled
  const directory = getCompileCacheDir()
  const child = spawn(
    process.execPath,
    [...SMALL, ...TRUST, entry, command, config, ...(command === 'serve' && keys !== undefined ? [keys] : [])],
    {
      env: {
        ...(directory !== undefined && { NODE_COMPILE_CACHE: directory }),
        MALLOC_ARENA_MAX: '2',
        MALLOC_TRIM_THRESHOLD_: '16777216',
      },
      cwd: '/',
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  // one that could not be started has no process id; one that died says so by 'exit', its pipes need not say it too
  child.on('error', () => undefined)
  child.stdin?.on('error', () => undefined)
  child.stdout?.on('error', () => undefined)
  return child
}

/** What it says first; an empty object when it ends without a word. */
async function firstLine(child: ChildProcess): Promise<Record<string, unknown>> {
  if (child.pid === undefined || !(child.stdout instanceof Readable))
    throw new KeystoreStartError('the keystore did not start', 1)
  const lines = createInterface({ input: child.stdout })
  try {
    for await (const line of lines) {
      const found: unknown = JSON.parse(line)
      return typeof found === 'object' && found !== null ? { ...found } : {}
    }
    return {}
  } finally {
    lines.close()
    child.stdout.resume()
  }
}

async function failed(child: ChildProcess, line: Record<string, unknown>): Promise<KeystoreStartError> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  const message = typeof line.message === 'string' ? line.message : 'it ended without a word'
  return new KeystoreStartError(`keystore: ${message}`, child.exitCode ?? 1)
}

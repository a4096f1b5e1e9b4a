/** The parent's side of the token process: starts it, asks it one thing at a time, starts it again when it dies or hangs. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { getCompileCacheDir } from 'node:module'
import { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  type CommandName,
  type Commands,
  decodeMessage,
  encodeMessage,
  lineReader,
  type Reply,
  type Request,
  type TokenIdentity,
} from './process/messages.ts'
import { TokenError } from './token.ts'

const BACKOFF_MS_MIN = 50
const BACKOFF_MS_MAX = 30_000
const CLOSE_MS = 1_000

export type TokenProcessConfig = {
  /** The child's whole environment, e.g. SOFTHSM2_CONF; nothing of the parent's is inherited. */
  environment: Readonly<Record<string, string>>
  /** Longest time for one request before the process counts as hung and is killed. */
  callTimeoutMs: number
  /** As `callTimeoutMs`, for making key pairs: a TPM may take a minute for RSA-3072. */
  generateTimeoutMs: number
}

/** Written to descriptor 4 of every child; wiped at close. */
export type Pins = { lines: Buffer[] }

type Attachment = (ask: Ask) => Promise<TokenIdentity>
export type Ask = <Name extends CommandName>(
  op: Name,
  params: Commands[Name]['params'],
) => Promise<Commands[Name]['answer']>

/** A child that starts as this one did finds its code compiled. */
function compileCache(): Record<string, string> {
  const directory = getCompileCacheDir()
  return directory === undefined ? {} : { NODE_COMPILE_CACHE: directory }
}

/** One child. `lost` is why it can not be asked any more. */
class Child {
  readonly process: ChildProcess
  readonly #channel: Duplex
  #waiting: { resolve: (reply: Reply) => void; reject: (error: Error) => void } | null = null
  #lost: TokenError | null = null
  readonly #onLost: () => void

  constructor(config: TokenProcessConfig, pins: Pins, onLost: () => void) {
    // A string URL is not rewritten by the compiler: the child runs from source or from what was built, as this file does.
    const main = new URL(`./process/main.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)
    this.process = spawn(process.execPath, [fileURLToPath(main)], {
      env: { ...compileCache(), ...config.environment },
      cwd: '/',
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], // vendor modules write to stdout and stderr as they like
    })
    const [channel, pinPipe] = [this.process.stdio[3], this.process.stdio[4]]
    if (!(channel instanceof Duplex) || !(pinPipe instanceof Duplex))
      throw new TokenError('restarting', 'the token process did not start')
    this.#channel = channel
    this.#onLost = onLost
    const lose = (why: string) => this.#lose(why)
    const read = lineReader(line => {
      const waiting = this.#waiting
      this.#waiting = null
      waiting?.resolve(decodeMessage<Reply>(line))
    })
    channel.on('data', chunk => {
      try {
        read(chunk)
      } catch {
        lose('the token process spoke out of form')
      }
    })
    channel.on('error', () => lose('the token process closed its channel'))
    channel.on('close', () => lose('the token process closed its channel'))
    this.process.on('error', () => lose('the token process did not start'))
    this.process.on('exit', (code, signal) => lose(`the token process ended (${signal ?? code})`))
    pinPipe.on('error', () => {}) // died before it read: 'exit' says so
    pinPipe.end(Buffer.concat(pins.lines.flatMap((line, n) => (n === 0 ? [line] : [Buffer.from('\n'), line]))))
  }

  /** @throws TokenError "restarting" - died or hung meanwhile; it is dead now either way */
  async ask(request: Request, timeoutMs: number): Promise<Reply> {
    if (this.#lost !== null) throw this.#lost
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    this.#waiting = { resolve, reject }
    const timer = setTimeout(() => this.#lose(`the token did not answer "${request.op}" in ${timeoutMs} ms`), timeoutMs)
    try {
      this.#channel.write(encodeMessage(request))
      return await promise
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends a child that answers, but not as it must. */
  giveUp(why: string): void {
    this.#lose(why)
  }

  /** SIGKILL, because that ends a stopped process too. */
  #lose(why: string): void {
    if (this.#lost !== null) return
    this.#lost = new TokenError('restarting', why)
    this.process.kill('SIGKILL')
    this.#waiting?.reject(this.#lost)
    this.#waiting = null
    this.#onLost()
  }

  async end(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const exited = once(this.process, 'exit')
    this.#channel.end()
    const timer = setTimeout(() => this.process.kill('SIGKILL'), CLOSE_MS)
    await exited
    clearTimeout(timer)
  }
}

export class TokenProcess {
  /** Operations with a key or the random generator, added up from the replies: a restart loses none. */
  operations = 0
  readonly #config: TokenProcessConfig
  readonly #pins: Pins
  readonly #attach: Attachment
  #child: Child | null = null
  #starting: Promise<Child> | null = null
  #turn: Promise<unknown> = Promise.resolve()
  #failures = 0
  /** Why no further start is tried: a PIN that is wrong once is wrong again, and tokens count. */
  #refusal: TokenError | null = null
  #closed: Promise<void> | null = null
  readonly #closing = new AbortController()

  constructor(config: TokenProcessConfig, pins: Pins, attach: Attachment) {
    this.#config = config
    this.#pins = pins
    this.#attach = attach
  }

  /** Id of the child that serves now; null between two. */
  get processId(): number | null {
    return this.#child?.process.pid ?? null
  }

  /**
   * Asks the child, after all that was asked before. A `repeatable` request that loses its child is asked once more of the next.
   *
   * @throws TokenError "restarting" - the child died or hung; it is being started again
   */
  ask<Name extends CommandName>(
    op: Name,
    params: Commands[Name]['params'],
    { repeatable }: { repeatable: boolean },
  ): Promise<Commands[Name]['answer']> {
    const answer = this.#turn.then(() => this.#perform(op, params, repeatable))
    this.#turn = answer.catch(() => {})
    return answer
  }

  /** Starts the first child now instead of at the first request. */
  async start(): Promise<void> {
    await this.#ready()
  }

  /** For `changePin`: what the next child logs in with. */
  replacePin(pin: Buffer): void {
    for (const line of this.#pins.lines) line.fill(0)
    this.#pins.lines = [pin]
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      this.#closing.abort()
      const starting = await this.#starting?.catch(() => null)
      await (this.#child ?? starting)?.end()
      this.#child = null
      for (const line of this.#pins.lines) line.fill(0)
    })()
    return this.#closed
  }

  async #perform<Name extends CommandName>(
    op: Name,
    params: Commands[Name]['params'],
    repeatable: boolean,
  ): Promise<Commands[Name]['answer']> {
    const child = await this.#patiently()
    try {
      return await this.#exchange(child, op, params)
    } catch (error) {
      const lost = error instanceof TokenError && error.fault === 'restarting'
      if (!lost || !repeatable) throw error
      return this.#exchange(await this.#patiently(), op, params)
    }
  }

  async #exchange<Name extends CommandName>(
    child: Child,
    op: Name,
    params: Commands[Name]['params'],
  ): Promise<Commands[Name]['answer']> {
    const slow = op === 'makePair' || op === 'initialise' || op === 'health'
    const timeoutMs = slow ? this.#config.generateTimeoutMs : this.#config.callTimeoutMs
    const reply = await child.ask({ op, params } as Request, timeoutMs)
    this.operations += reply.used
    if ('fault' in reply) {
      // a module may hold on to what went wrong (SoftHSM does, when its files were away): only a fresh start shows
      if (reply.fault === 'device' && op !== 'attach' && op !== 'initialise') child.giveUp(reply.message)
      throw new TokenError(reply.fault, reply.message)
    }
    if (op !== 'attach') this.#failures = 0
    return reply.answer as Commands[Name]['answer']
  }

  /** A caller waits for a start, but not for a back-off that has grown long. */
  async #patiently(): Promise<Child> {
    const { promise, reject } = Promise.withResolvers<never>()
    const why = new TokenError('restarting', 'the token process is being started again')
    const timer = setTimeout(() => reject(why), 2 * this.#config.callTimeoutMs)
    try {
      return await Promise.race([this.#ready(), promise])
    } finally {
      clearTimeout(timer)
    }
  }

  #ready(): Promise<Child> {
    if (this.#closed !== null) return Promise.reject(new TokenError('absent', 'the token is closed'))
    if (this.#refusal !== null) return Promise.reject(this.#refusal)
    if (this.#child !== null) return Promise.resolve(this.#child)
    this.#starting ??= this.#start().finally(() => {
      this.#starting = null
    })
    return this.#starting
  }

  async #start(): Promise<Child> {
    if (this.#failures > 0) {
      const backoffMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** (this.#failures - 1))
      await delay(backoffMs, null, { signal: this.#closing.signal }).catch(() => {
        throw new TokenError('absent', 'the token is closed')
      })
    }
    const child = new Child(this.#config, this.#pins, () => this.#lost(child))
    try {
      await this.#attach((op, params) => this.#exchange(child, op, params))
    } catch (error) {
      await child.end()
      this.#failures++
      if (error instanceof TokenError && (error.fault === 'locked' || error.fault === 'configuration'))
        this.#refusal = error
      throw error
    }
    this.#child = child
    return child
  }

  #lost(child: Child): void {
    if (this.#child !== child) return
    this.#child = null
    this.#failures++
    // Starts without being asked, so that the next caller does not wait.
    this.#revive()
  }

  #revive(): void {
    this.#ready().catch(() => {
      if (this.#closed === null && this.#refusal === null) this.#revive()
    })
  }
}

import type { IncomingMessage } from 'node:http'
import { OwnBody } from '../own-body.ts'

export type BodyLimits = {
  /** a body that brings nothing for this long is cut */
  idleMs: number
  /** a body slower than this over a minute is cut, time spent on our side not counted */
  leastBytesPerSecond: number
}

const WINDOW_MS = 60_000
/** Held while the reader is busy with the last piece. */
const AHEAD_BYTES = 256 << 10

/**
 * The body, cut when it stalls. Leaving the iteration early leaves the connection open for the answer.
 * Written on the stream's events: the stream's own iterator costs small bodies more than all the rest of their request.
 *
 * @param start - called when the body is first asked for
 */
export function requestBody(request: IncomingMessage, limits: BodyLimits, start: () => void): OwnBody {
  // the parser gives each piece memory of its own, and forgets it
  return new OwnBody({ [Symbol.asyncIterator]: () => new BodyIterator(request, limits, start) })
}

class BodyIterator implements AsyncIterator<Uint8Array> {
  readonly #request: IncomingMessage
  readonly #limits: BodyLimits
  readonly #start: () => void
  #started = false
  #pieces: Buffer[] = []
  #held = 0
  #over = false
  #fault: Error | null = null
  #waiting: ((result: IteratorResult<Uint8Array>) => void) | null = null
  #refuse: ((fault: Error) => void) | null = null
  #stall: NodeJS.Timeout | null = null
  #waited = 0
  #received = 0

  constructor(request: IncomingMessage, limits: BodyLimits, start: () => void) {
    this.#request = request
    this.#limits = limits
    this.#start = start
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    if (!this.#started) this.#listen()
    const piece = this.#take()
    if (piece !== null) return Promise.resolve(piece)
    if (this.#fault !== null) return Promise.reject(this.#fault)
    const before = performance.now()
    return new Promise((resolve, reject) => {
      this.#waiting = result => {
        // only waiting for the client counts: a slow disk of ours is not its fault
        this.#waited += performance.now() - before
        resolve(result)
      }
      this.#refuse = reject
      this.#stall ??= setTimeout(() => this.#cut('the body stalled'), this.#limits.idleMs)
      this.#stall.refresh()
      this.#request.resume()
    })
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    this.#leave()
    return Promise.resolve({ done: true, value: undefined })
  }

  #take(): IteratorResult<Uint8Array> | null {
    const piece = this.#pieces.shift()
    if (piece !== undefined) {
      this.#held -= piece.length
      return { done: false, value: piece }
    }
    return this.#over ? { done: true, value: undefined } : null
  }

  #listen(): void {
    this.#started = true
    this.#start()
    const request = this.#request
    if (request.errored || (request.destroyed && !request.readableEnded)) this.#fault = broken(request.errored)
    request.on('data', this.#onData)
    request.on('end', this.#onEnd)
    request.on('error', this.#onError)
    request.on('close', this.#onClose)
  }

  readonly #onData = (piece: Buffer): void => {
    this.#received += piece.length
    if (this.#waited > WINDOW_MS) {
      if (this.#received < (this.#limits.leastBytesPerSecond * this.#waited) / 1000) {
        this.#cut('the body is too slow')
        return
      }
      this.#waited = 0
      this.#received = 0
    }
    this.#pieces.push(piece)
    this.#held += piece.length
    if (this.#held > AHEAD_BYTES) this.#request.pause()
    this.#deliver()
  }

  readonly #onEnd = (): void => {
    this.#over = true
    this.#deliver()
    this.#leave()
  }

  readonly #onError = (error: Error): void => this.#fail(error)

  readonly #onClose = (): void => {
    if (!this.#over) this.#fail(broken(this.#request.errored))
  }

  #deliver(): void {
    if (this.#waiting === null) return
    const result = this.#take()
    if (result === null) return
    const waiting = this.#waiting
    this.#waiting = null
    this.#quiet()
    waiting(result)
  }

  #cut(reason: string): void {
    const fault = new Error(reason)
    this.#fail(fault)
    this.#request.destroy(fault)
  }

  #fail(fault: Error): void {
    this.#fault ??= fault
    if (this.#waiting === null) return
    this.#waiting = null
    this.#quiet()
    this.#refuse?.(this.#fault)
  }

  #quiet(): void {
    if (this.#stall !== null) clearTimeout(this.#stall)
    this.#stall = null
  }

  #leave(): void {
    this.#quiet()
    const request = this.#request
    request.off('data', this.#onData)
    request.off('end', this.#onEnd)
    request.off('close', this.#onClose)
    // an error after the leaving is nobody's: the handler stays, so that it does not end the process
    if (!this.#over) request.pause()
  }
}

function broken(cause: Error | null): Error {
  return cause ?? new Error('the connection broke in the middle of the body')
}

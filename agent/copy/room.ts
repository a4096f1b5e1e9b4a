/**
 * Lets work go on side by side as far as there is room. The first error stops the taking of further work; it is thrown when what is
 * under way has ended.
 */
export class Room {
  readonly #size: number
  readonly #signal: AbortSignal
  #used = 0
  #fault: { error: unknown } | null = null
  #freed: () => void = () => undefined

  constructor(size: number, signal: AbortSignal) {
    this.#size = size
    this.#signal = signal
  }

  /** Nothing more is taken in. */
  get over(): boolean {
    return this.#fault !== null || this.#signal.aborted
  }

  /** Begins the work when there is room for its share; resolves when it has begun, or when nothing more is taken in. */
  async enter(share: number, work: () => Promise<void>): Promise<void> {
    const own = Math.min(this.#size, share)
    await this.#until(() => this.#used + own <= this.#size)
    if (this.over) return
    this.#used += own
    work()
      .catch((error: unknown) => {
        this.#fault ??= { error }
      })
      .finally(() => {
        this.#used -= own
        this.#freed()
      })
  }

  /** Waits for all of it. @throws what the first failure threw, or the signal's reason */
  async empty(): Promise<void> {
    await this.#until(() => this.#used === 0)
    this.#signal.throwIfAborted()
    if (this.#fault !== null) throw this.#fault.error
  }

  async #until(enough: () => boolean): Promise<void> {
    while (!enough())
      await new Promise<void>(resolve => {
        this.#freed = resolve
      })
  }
}

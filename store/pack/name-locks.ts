/** Puts on the same name commit one after another, so that a condition is judged on what is there. */
export class NameLocks {
  readonly #last = new Map<string, Promise<void>>()

  /** Takes the name at once; null: somebody has it. @returns what gives it back */
  take(name: string): (() => void) | null {
    if (this.#last.has(name)) return null
    let free: () => void = () => undefined
    const over = new Promise<void>(resolve => {
      free = resolve
    })
    this.#last.set(name, over)
    return () => {
      free()
      if (this.#last.get(name) === over) this.#last.delete(name)
    }
  }

  async hold<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name)
    const mine = before === undefined ? work() : before.then(work)
    const over = mine.then(
      () => undefined,
      () => undefined,
    )
    this.#last.set(name, over)
    try {
      return await mine
    } finally {
      if (this.#last.get(name) === over) this.#last.delete(name)
    }
  }
}

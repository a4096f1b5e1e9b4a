import type { Content } from './content.ts'

/** What may be done now, and what is being done. */
export class Gate {
  readonly #mayWrite: () => void
  readonly #underWay = new Set<Promise<unknown>>()

  /** @param mayWrite - throws `read-only` when sealed or locked */
  constructor(mayWrite: () => void) {
    this.#mayWrite = mayWrite
  }

  readonly mayWrite = (): void => this.#mayWrite()

  /** Takes in a content and commits it; takes back what was written of it when anything refuses. */
  pass<T>(take: () => Promise<Content>, commit: (content: Content) => Promise<T>): Promise<T> {
    this.#mayWrite()
    return this.during(passed(take, commit))
  }

  /** The store does not close while this is under way. */
  during<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work)
    return work.finally(() => this.#underWay.delete(work))
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay)
  }
}

async function passed<T>(take: () => Promise<Content>, commit: (content: Content) => Promise<T>): Promise<T> {
  const content = await take()
  try {
    return await commit(content)
  } catch (error) {
    await content.abort()
    throw error
  }
}

/**
 * Whether a medium answers at once. A small read of what the page cache holds takes microseconds, and a tenth of the way through the
 * thread pool; one that waits for a disk or a network would hold up everything else that this thread does.
 */
export class Pace {
  /** moving average of what reads in place took, ms; it fades while none is made, so that one tries again */
  #average = 0

  get prompt(): boolean {
    return this.#average < SLOW_MS
  }

  /** A read was made in place. */
  took(ms: number): void {
    this.#average = this.#average * 0.9 + Math.min(ms, MOST_MS) * 0.1
  }

  /** A read was made elsewhere: after about twenty of those the next is tried in place again. */
  spared(): void {
    this.#average *= 0.95
  }
}

/** From here on the thread pool is cheaper for the thread that asks. */
const SLOW_MS = 0.1
/** Of one read: a pause of the process itself is not the medium's. */
const MOST_MS = 2

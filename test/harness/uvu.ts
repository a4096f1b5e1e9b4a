/**
 * uvu as test files see it under the harness: the same suites, each test and hook watched. uvu's own runner swallows what a hook
 * throws, counts `throw null` as success and knows no time-out; what it says is therefore not asked.
 */
import { inspect } from 'node:util'
import { type Callback, suite as plainSuite, type Test } from 'uvu'
import { LISTENER, type Listener } from './notice.ts'
import type { Event } from './report.ts'

interface Watch {
  readonly tell: (event: Event) => void
  readonly testSeconds: number
}

let watch: Watch | null = null
let declared = 0
let running: { absent: boolean } | null = null

/** Called once by the process of a test file, before the file is imported. */
export function watchSuites(by: Watch): void {
  watch = by
  const listener: Listener = (line, missing) => {
    by.tell({ kind: 'notice', line })
    if (missing && running !== null) running.absent = true
  }
  Reflect.set(globalThis, LISTENER, listener)
}

/** An error as the report shows it; anything else thrown is itself the fault. */
export function described(thrown: unknown): string {
  if (!(thrown instanceof Error)) return `threw something that is not an Error: ${inspect(thrown)}`
  const details: unknown = Reflect.get(thrown, 'details')
  const stack = (thrown.stack ?? `${thrown.name}: ${thrown.message}`)
    .split('\n')
    .filter(line => !/^\s+at .*(node:|node_modules\/uvu|test\/harness\/(uvu|child)\.ts)/.test(line))
    .join('\n')
  const cause = thrown.cause === undefined ? '' : `\ncaused by ${described(thrown.cause)}`
  if (typeof details === 'string') return `${stack}\n${details}${cause}`
  if (!('expected' in thrown)) return stack + cause
  return `${stack}\nexpected ${inspect(thrown.expected)}\n  actual ${inspect(Reflect.get(thrown, 'actual'))}${cause}`
}

async function within(seconds: number, what: string, work: () => unknown): Promise<void> {
  const overdue = Promise.withResolvers<never>()
  const timer = setTimeout(() => overdue.reject(new Error(`${what} took longer than ${seconds} s`)), seconds * 1000)
  try {
    await Promise.race([work(), overdue.promise])
  } finally {
    clearTimeout(timer)
  }
}

const told = new WeakSet<Error>()

/** What uvu's runner is given to count as a failure: it cannot show anything but an Error. */
function asError(thrown: unknown): Error {
  const error = thrown instanceof Error ? thrown : new Error(described(thrown))
  told.add(error)
  return error
}

/** True for an error that a test or hook threw and that has been told as such. */
export function isTold(thrown: unknown): boolean {
  return thrown instanceof Error && told.has(thrown)
}

function watching(): Watch {
  if (watch === null) throw new Error('suites are watched only in the process of a test file (test/harness/child.ts)')
  return watch
}

/** uvu's `suite`, watched. */
export function suite<T = Record<string, unknown>>(suiteName = '', context?: T): Test<T> {
  const plain = context === undefined ? plainSuite<T>(suiteName) : plainSuite<T>(suiteName, context)
  const named = (what: string) => (suiteName === '' ? what : `${suiteName}: ${what}`)

  const declare = (title: string): number => {
    const test = declared++
    watching().tell({ kind: 'declared', test, title: named(title) })
    return test
  }
  const watched = (title: string, handler: Callback<T>): Callback<T> => {
    const test = declare(title)
    const { tell, testSeconds } = watching()
    return async state => {
      const mine = { absent: false }
      running = mine
      try {
        await within(testSeconds, 'the test', () => handler(state))
        tell({ kind: mine.absent ? 'absent' : 'passed', test })
      } catch (thrown) {
        tell({ kind: 'failed', test, error: described(thrown) })
        throw asError(thrown)
      } finally {
        running = null
      }
    }
  }
  const hook = (where: string, handler: Callback<T>): Callback<T> => {
    const { tell, testSeconds } = watching()
    return async state => {
      try {
        await within(testSeconds, 'the hook', () => handler(state))
      } catch (thrown) {
        tell({ kind: 'fault', where: named(where), error: described(thrown) })
        throw asError(thrown)
      }
    }
  }
  return Object.assign((title: string, handler: Callback<T>) => plain(title, watched(title, handler)), {
    only: (title: string, handler: Callback<T>) => plain.only(title, watched(title, handler)),
    // a test switched off stays declared, and so is reported as one that did not run
    skip: (title = 'skipped') => {
      declare(title)
    },
    before: Object.assign((handler: Callback<T>) => plain.before(hook('before', handler)), {
      each: (handler: Callback<T>) => plain.before.each(hook('before each', handler)),
    }),
    after: Object.assign((handler: Callback<T>) => plain.after(hook('after', handler)), {
      each: (handler: Callback<T>) => plain.after.each(hook('after each', handler)),
    }),
    run: () => plain.run(),
  })
}

/** uvu's nameless suite. */
export const test = suite()

/** What a test file's process tells the harness: one JSON document a line on descriptor 3, written as it happens. */
export type Event =
  | { readonly kind: 'declared'; readonly test: number; readonly title: string }
  | { readonly kind: 'passed'; readonly test: number }
  | { readonly kind: 'failed'; readonly test: number; readonly error: string }
  /** A test this machine cannot run; the notice has been printed. */
  | { readonly kind: 'absent'; readonly test: number }
  /** What fails outside a test: a hook, an import, a rejection nobody handled. */
  | { readonly kind: 'fault'; readonly where: string; readonly error: string }
  | { readonly kind: 'notice'; readonly line: string }
  /** All suites have run; from here on only open handles keep the process. */
  | { readonly kind: 'done' }

/** How a test file's process ended, as the harness saw it. */
export type Ending =
  | { readonly kind: 'exited'; readonly status: number }
  | { readonly kind: 'signalled'; readonly signal: string }
  | { readonly kind: 'timed-out'; readonly seconds: number }
  | { readonly kind: 'lingered'; readonly seconds: number }

export interface Failure {
  readonly title: string
  readonly error: string
}

export interface Tally {
  readonly passed: number
  readonly failures: readonly Failure[]
  readonly notices: readonly string[]
}

/**
 * What a file's events and ending come to. Nothing that was declared is lost: a test without an outcome has failed.
 *
 * @param leftovers - processes of the file's group that outlived it
 */
export function tally(events: readonly Event[], ending: Ending, leftovers: number): Tally {
  const outcomes = new Map<number, Event>()
  const titles = new Map<number, string>()
  const notices: string[] = []
  const failures: Failure[] = []
  let done = false
  for (const event of events) {
    if (event.kind === 'declared') titles.set(event.test, event.title)
    else if (event.kind === 'fault') failures.push({ title: event.where, error: event.error })
    else if (event.kind === 'notice') notices.push(event.line)
    else if (event.kind === 'done') done = true
    else outcomes.set(event.test, event)
  }
  let passed = 0
  for (const [test, title] of titles) {
    const outcome = outcomes.get(test)
    if (outcome?.kind === 'passed') passed += 1
    else if (outcome?.kind === 'failed') failures.push({ title, error: outcome.error })
    else if (outcome === undefined) failures.push({ title, error: `did not run to its end: ${said(ending, done)}` })
  }
  if (failures.length === 0) {
    const broken = brokenEnd(ending, done, titles.size === 0 && notices.length === 0)
    if (broken !== null) failures.push({ title: 'the file', error: broken })
  }
  if (leftovers > 0) failures.push({ title: 'the file', error: `left ${leftovers} processes behind; they were killed` })
  return { passed, failures, notices }
}

/** What is wrong with a file none of whose tests or hooks failed; null when nothing is. */
function brokenEnd(ending: Ending, done: boolean, empty: boolean): string | null {
  if (ending.kind !== 'exited' || ending.status !== 0) return said(ending, done)
  if (!done) return 'ended its process before all its suites were through'
  return empty ? 'has no tests' : null
}

function said(ending: Ending, done: boolean): string {
  switch (ending.kind) {
    case 'exited':
      return done
        ? 'its suite did not run it (a hook threw, .run() is missing, or .only/.skip)'
        : `process exited with ${ending.status}`
    case 'signalled':
      return `process ended by ${ending.signal}`
    case 'timed-out':
      return `the file's time-out of ${ending.seconds} s`
    case 'lingered':
      return `process still alive ${ending.seconds} s after its last test: something was left open`
  }
}

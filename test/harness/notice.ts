/** Where the harness listens; absent when a test file is run by itself. */
export const LISTENER = Symbol.for('sealift.test.notice')

export type Listener = (line: string, absent: boolean) => void

/** Prints one line in the report. Counts nothing. */
export function notice(line: string): void {
  tell(line, false)
}

/**
 * Says in one line what this machine lacks. Called inside a test, which then returns, the test counts neither way; called while
 * the file loads, the file may stay without tests.
 */
export function absent(line: string): void {
  tell(line, true)
}

function tell(line: string, missing: boolean): void {
  const listener: unknown = Reflect.get(globalThis, LISTENER)
  if (typeof listener === 'function') listener(line, missing)
  else console.log(`notice: ${line}`)
}

/** How long a test file and each of its tests may take, in seconds. */
export interface Limits {
  readonly fileSeconds: number
  readonly testSeconds: number
}

export const DEFAULT_LIMITS: Limits = { fileSeconds: 180, testSeconds: 60 }

/**
 * Limits a file asks for in its first line: `// timeout: 90s`, or `// timeout: 300s, test 200s`. A file that asks for less than a
 * test's usual time has its tests cut to that.
 *
 * @throws Error when the first line begins with `// timeout` and says anything else
 */
export function limitsOf(source: string): Limits {
  const line = source.slice(0, source.indexOf('\n') + 1 || undefined).trim()
  if (!line.startsWith('// timeout')) return DEFAULT_LIMITS
  const match = /^\/\/ timeout: (\d+)s(?:, test (\d+)s)?$/.exec(line)
  if (match === null) throw new Error(`"${line}": wanted "// timeout: 90s" or "// timeout: 300s, test 200s"`)
  const fileSeconds = Number(match[1])
  const testSeconds = match[2] === undefined ? Math.min(DEFAULT_LIMITS.testSeconds, fileSeconds) : Number(match[2])
  return { fileSeconds, testSeconds }
}

import { spawnSync } from 'node:child_process'

/**
 * Installs Debian packages when it may; otherwise says the line to type and ends with 69.
 * @param missing - packages whose programs are not there
 */
export function requirePackages(missing: readonly string[]): void {
  if (missing.length === 0) return
  const line = `apt-get install --no-install-recommends -y ${missing.join(' ')}`
  if (process.getuid?.() === 0) {
    const [program = '', ...args] = line.split(' ')
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const install = () =>
      spawnSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'], env: environment }).status === 0
    // a machine just set up has no package lists, an older one may have lists that name what is gone
    if (install()) return
    spawnSync('apt-get', ['update'], { stdio: 'ignore', env: environment })
    if (install()) return
  }
  process.stderr.write(`programs are missing; install them:\n  ${line}\n`)
  process.exit(69)
}

/** Whether the program can be started. */
export function hasProgram(name: string): boolean {
  return spawnSync(name, ['--version'], { stdio: 'ignore' }).error === undefined
}

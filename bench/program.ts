/** Other people's programs, run as processes, and installed where that may be. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Program to Debian package. */
const PACKAGES = { rclone: 'rclone', age: 'age', restic: 'restic', nginx: 'nginx-light', wrk: 'wrk' } as const
export type ProgramName = keyof typeof PACKAGES

const DIRECTORIES = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/usr/local/sbin', '/bin', '/sbin']
const SOFTHSM = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib64/softhsm/libsofthsm2.so']

/** nginx lies in /usr/sbin, which a user's PATH may lack. */
export function programPath(name: ProgramName): string | null {
  return DIRECTORIES.map(directory => `${directory}/${name}`).find(path => existsSync(path)) ?? null
}

/** As root installs what is missing; otherwise says the line to type and goes on without. */
export function installMissing(say: (line: string) => void): void {
  const missing: string[] = Object.keys(PACKAGES)
    .filter(name => programPath(name as ProgramName) === null)
    .map(name => PACKAGES[name as ProgramName])
  if (!SOFTHSM.some(path => existsSync(path))) missing.push('softhsm2')
  if (missing.length === 0) return
  const line = `apt-get install -y --no-install-recommends ${missing.join(' ')}`
  if (process.getuid?.() !== 0) {
    say(
      `missing: ${missing.join(' ')}. As root type:\n  ${line}\nWhat is missing is left out, and what it is compared with is not met.`,
    )
    return
  }
  say(`installing ${missing.join(' ')}`)
  const options = {
    stdio: ['ignore', 2, 2] as ['ignore', 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  }
  spawnSync('apt-get', ['-q', 'update'], options)
  const [program = '', ...args] = line.replace('install', '-q -o DPkg::Lock::Timeout=300 install').split(' ')
  if (spawnSync(program, args, options).status !== 0) say('not all of it could be installed (the reason stands above)')
}

/** Ours and everybody's; what is not installed is left out. */
export function describeVersions(): Record<string, string> {
  const found = Object.keys(PACKAGES).map(name => [name, versionOf(name as ProgramName)] as const)
  const installed = found.filter((each): each is [ProgramName, string] => each[1] !== null)
  return { sealift: ourVersion(), node: process.versions.node, ...Object.fromEntries(installed) }
}

/** The package's, with the commit where the checkout has one. */
function ourVersion(): string {
  const top = fileURLToPath(new URL('..', import.meta.url))
  const { version } = JSON.parse(readFileSync(`${top}package.json`, 'utf8')) as { version: string }
  const { stdout, status } = spawnSync('git', ['-C', top, 'describe', '--always', '--dirty'], { encoding: 'utf8' })
  return status === 0 ? `${version} ${stdout.trim()}` : version
}

/** The number in what it says of itself. */
function versionOf(name: ProgramName): string | null {
  const path = programPath(name)
  if (path === null) return null
  const args = { rclone: 'version', age: '--version', restic: 'version', nginx: '-v', wrk: '-v' }[name]
  const { stdout, stderr } = spawnSync(path, [args], { encoding: 'utf8' })
  const line = `${stdout}\n${stderr}`.split('\n').find(each => each.trim() !== '') ?? ''
  return /\d+(?:\.\d+)+\S*/.exec(line)?.[0] ?? line
}

/** Ends what this process has started and what that has started. */
export function endDescendants(of: number | 'self' = 'self'): void {
  for (const pid of childrenOf(of)) {
    endDescendants(pid)
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      // it ended by itself
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    }
  }
}

function childrenOf(pid: number | 'self'): number[] {
  try {
    const lists = readdirSync(`/proc/${pid}/task`).map(task =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim(),
    )
    return lists.filter(list => list !== '').flatMap(list => list.split(' ').map(Number))
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return []
    throw error
  }
}

export type PerformOptions = { env?: Record<string, string>; input?: string }

/** Runs to the end. @returns stdout @throws Error with what it said when its exit code is not 0 */
export function perform(program: string, args: string[], options: PerformOptions = {}): Promise<string> {
  const child = spawn(program, args, {
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, ...options.env },
  })
  child.stdin?.end(options.input)
  return ended(child, program)
}

function ended(child: ChildProcess, name: string): Promise<string> {
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', chunk => {
    stdout += String(chunk)
  })
  child.stderr?.on('data', chunk => {
    stderr = (stderr + String(chunk)).slice(-4000)
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => {
      if (code === 0) resolve(stdout)
      else reject(new Error(`${name} ended with ${code}: ${stderr || stdout.slice(-2000)}`))
    })
  })
}

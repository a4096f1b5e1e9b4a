import { spawnSync } from 'node:child_process'
import { programPath } from './workshop.ts'

const packages = { aws: 'awscli', s3cmd: 's3cmd', rclone: 'rclone' }

/** Installs what is missing when it may; otherwise says the line to type and ends with 69. */
export function requireClients(): void {
  const missing = Object.entries(packages).filter(([program]) => spawnSync(programPath(program), ['--version']).error)
  if (missing.length === 0) return
  const line = `apt-get install --no-install-recommends -y ${missing.map(([, name]) => name).join(' ')}`
  if (process.getuid?.() === 0) {
    const [program = '', ...args] = line.split(' ')
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    if (spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'], env: environment }).status === 0) return
  }
  process.stderr.write(`clients are missing; install them:\n  ${line}\n`)
  process.exit(69)
}

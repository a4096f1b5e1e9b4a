import { spawnSync } from 'node:child_process'
import { hasProgram, requirePackages } from '../packages.ts'
import { DEBIAN_PYTHON } from './boto3.ts'
import { programPath } from './workshop.ts'

const packages = { aws: 'awscli', s3cmd: 's3cmd', rclone: 'rclone' }

/** Installs the clients that are missing when it may; otherwise says the line to type and ends with 69. */
export function requireClients(): void {
  const missing = Object.entries(packages).filter(([program]) => !hasProgram(programPath(program)))
  const hasBoto3 = spawnSync(DEBIAN_PYTHON, ['-c', 'import boto3'], { stdio: 'ignore' }).status === 0
  requirePackages([...missing.map(([, name]) => name), ...(hasBoto3 ? [] : ['python3-boto3'])])
}

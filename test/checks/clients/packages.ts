import { hasProgram, requirePackages } from '../packages.ts'
import { programPath } from './workshop.ts'

const packages = { aws: 'awscli', s3cmd: 's3cmd', rclone: 'rclone' }

/** Installs the clients that are missing when it may; otherwise says the line to type and ends with 69. */
export function requireClients(): void {
  requirePackages(
    Object.entries(packages)
      .filter(([program]) => !hasProgram(programPath(program)))
      .map(([, name]) => name),
  )
}

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** A command with its own home: no configuration of the user's is read, and no secret stands in an argument. */
export function command(program: string, home: string, environment: Record<string, string>) {
  const env = { PATH: '/usr/bin:/bin:/usr/local/bin', HOME: home, LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8', ...environment }
  return async (...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(program, args, { env, maxBuffer: 16 * 1024 * 1024, timeout: 120_000 })
    return stdout
  }
}

/** Debian's own before any other installation. */
export function programPath(name: string): string {
  return existsSync(`/usr/bin/${name}`) ? `/usr/bin/${name}` : name
}

export type Files = {
  path(name: string): string
  make(name: string, size: number): { path: string; bytes: Buffer }
  same(path: string, bytes: Buffer): void
}

export function files(home: string, client: string): Files {
  const directory = join(home, client)
  mkdirSync(directory, { recursive: true })
  const path = (name: string) => join(directory, name)
  return {
    path,
    make(name, size) {
      const bytes = randomBytes(size)
      writeFileSync(path(name), bytes)
      return { path: path(name), bytes }
    },
    same(found, bytes) {
      const read = readFileSync(found)
      if (!read.equals(bytes)) throw new Error(`${read.length} bytes came back that are not the ${bytes.length} stored`)
    },
  }
}

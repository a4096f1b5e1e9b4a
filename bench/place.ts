/** Where everything of a run lies: one new directory, on the file system that is measured. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, statSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { perform } from './program.ts'

export type Place = {
  root: string
  /** a name of its own below the root, made */
  make(name: string): string
  /** Flushes everything and waits until the disk rests. @returns false when it did not come to rest in time */
  settle(): Promise<boolean>
  /** @throws Error when the file system has less free; said before anything is written */
  needRoom(bytes: number, what: string): void
  /** As many rounds as wanted, or as fit beside the warm-up's, at least three of those wanted. @throws Error when they do not fit */
  roundsThatFit(wanted: number, roundBytes: number, what: string): number
  fileSystem: string
  remove(): void
}

const REST_MS = 300
const REST_LIMIT_MS = 15_000
const POLL_MS = 50
const LEAST_ROUNDS = 3

export function openPlace(parent: string): Place {
  mkdirSync(parent, { recursive: true })
  const root = mkdtempSync(join(parent, 'sealift-bench-'))
  const free = (): number => {
    const { bavail, bsize } = statfsSync(root)
    return bavail * bsize
  }
  const needRoom = (bytes: number, what: string): void => {
    const gigabytes = (value: number): string => `${(value / 1e9).toFixed(1)} GB`
    if (free() < bytes)
      throw new Error(
        `${what} needs ${gigabytes(bytes)} free, and ${parent} has ${gigabytes(free())}: give another directory with --place DIR`,
      )
  }
  return {
    root,
    make(name) {
      const path = join(root, name)
      mkdirSync(path, { recursive: true })
      return path
    },
    async settle() {
      await perform('sync', [])
      const from = performance.now()
      for (let still = from, last = diskState(root); performance.now() - still < REST_MS; ) {
        await delay(POLL_MS)
        const now = diskState(root)
        if (now !== last || /^[1-9]/.test(now)) still = performance.now()
        last = now
        if (performance.now() - from > REST_LIMIT_MS) return false
      }
      return true
    },
    needRoom,
    roundsThatFit(wanted, roundBytes, what) {
      const rounds = Math.min(wanted, Math.max(LEAST_ROUNDS, Math.floor(free() / roundBytes) - 1))
      needRoom(roundBytes * (rounds + 1), what)
      return rounds
    },
    fileSystem: mountOf(root).type,
    remove: () => rmSync(root, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }),
  }
}

/** Requests in flight, then reads and writes so far, of the disk below a path; '' where it has none (tmpfs). */
function diskState(path: string): string {
  const { dev } = statSync(path, { bigint: true })
  // the encoding of glibc's gnu_dev_major and gnu_dev_minor
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n)
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n)
  for (const line of readFileSync('/proc/diskstats', 'utf8').split('\n')) {
    const fields = line.trim().split(/\s+/)
    if (fields[0] === String(major) && fields[1] === String(minor)) return `${fields[11]} ${fields[3]} ${fields[7]}`
  }
  return ''
}

function mountOf(path: string): { at: string; type: string } {
  let found = { at: '', type: 'unknown' }
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const [, at = '', type = ''] = line.split(' ')
    const inside = at === '/' || path === at || path.startsWith(`${at}/`)
    if (at !== '' && inside && at.length >= found.at.length) found = { at, type }
  }
  return found
}

export function describeMachine(place: Place): Record<string, unknown> {
  return {
    cpu: cpus()[0]?.model.trim() || 'unknown',
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 1e9),
    kernel: readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim(),
    fileSystem: place.fileSystem,
  }
}

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeDirectoryDurable } from '../../store/durable.ts'
import { type Lock, lockFile } from '../../store/lock.ts'
import { StoreError } from '../../store/object-store.ts'

/** The processes that share a directory, each by the file that it holds. What one leaves behind when it dies bears its name. */
export type Members = {
  /** 8 hex digits */
  own: string
  /**
   * Does something that one process does at a time.
   * @param work - `isGone` says whether the process of that name is no more; one that never was is gone
   * @returns null - another process is at it
   */
  alone<T>(work: (isGone: (name: string) => boolean) => Promise<T>): Promise<T | null>
  /** Whether some died without leaving. */
  someGone(): Promise<boolean>
  leave(): Promise<void>
}

const JOIN_MS = 5000

/** @throws StoreError "busy" - another process does not end with what only one may do */
export async function joinMembers(directory: string): Promise<Members> {
  const place = join(directory, 'members')
  await makeDirectoryDurable(place, 0o700)
  const chair = join(directory, 'members.lock')
  const own = randomBytes(4).toString('hex')
  const fileOf = (name: string): string => join(place, name)
  // a file that is there and not held is a dead one's: it must not be seen between the two
  const joining = lockFile(chair, JOIN_MS)
  if (joining === null) throw new StoreError('busy', `${directory}: another process is busy with it; try again`)
  let held: Lock | null
  try {
    held = lockFile(fileOf(own))
  } finally {
    joining.close()
  }
  // beside a file that is held lies the journal of its lock
  const names = async (): Promise<string[]> => (await readdir(place)).filter(name => /^[0-9a-f]{8}$/.test(name))
  const forget = async (name: string): Promise<void> => {
    for (const end of ['', '-journal']) await rm(fileOf(name) + end, { force: true })
  }
  const isFree = (name: string): boolean => {
    const lock = existsSync(fileOf(name)) ? lockFile(fileOf(name)) : null
    lock?.close()
    return lock !== null || !existsSync(fileOf(name))
  }
  return {
    own,
    async alone(work) {
      const lock = lockFile(chair)
      if (lock === null) return null
      try {
        const found = (await names()).map((name): [string, boolean] => [name, name !== own && isFree(name)])
        const gone = new Map(found)
        const done = await work(name => {
          const known = gone.get(name) ?? (name !== own && isFree(name))
          gone.set(name, known)
          return known
        })
        // what they left is cleared away: they need not be known any more
        for (const [name, dead] of found) if (dead) await forget(name)
        return done
      } finally {
        lock.close()
      }
    },
    async someGone() {
      return (await names()).some(name => name !== own && isFree(name))
    },
    async leave() {
      held?.close()
      await forget(own)
    },
  }
}

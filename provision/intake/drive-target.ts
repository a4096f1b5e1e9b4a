import { openForReading } from '../../store/pack/drive.ts'
import type { Target } from './target.ts'

/** For a check: packs are read where they lie on the drive, and nothing goes anywhere. */
export function driveTarget(): Target {
  const paths = new Map<string, string>()
  return {
    openBucket: async () => 'ready',
    async adopt(pack, path) {
      paths.set(pack, path)
      const file = await openForReading(path)
      await file.close()
      return { size: file.size }
    },
    pathOf: async pack => paths.get(pack) ?? null,
    register: () => Promise.reject(new Error('a check registers nothing')),
    settle: async () => undefined,
  }
}

import type { KeyRelease } from '../../format/release.ts'
import { asked } from './release-fault.ts'

/** What people call users and groups, of those that the authority knows. @param ids - at most 1000 */
export async function namesOf(release: KeyRelease, ids: string[]): Promise<Map<string, string>> {
  if (ids.length === 0) return new Map()
  const names = await asked(release.names(ids))
  return new Map(
    ids.flatMap((id, at): [string, string][] => {
      const name = names[at] ?? null
      return name === null ? [] : [[id, name]]
    }),
  )
}

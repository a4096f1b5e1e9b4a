import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { CONFIG_FILE } from '../operator.ts'

/** What store and keystore must agree on: both read it from the file that `init` wrote. */
export type Installation = {
  /** `bucket.<suffix>` hosts name the bucket */
  virtualHostSuffix: string | null
  /** whoever may read or write a bucket or object sees its ACL too, and whoever may write changes it */
  readersSeeAcl: boolean
}

const schema = z.object({
  virtualHostSuffix: z.string().nullable(),
  readersSeeAcl: z.boolean().default(false),
})

const NONE: Installation = { virtualHostSuffix: null, readersSeeAcl: false }

/** Of a process whose keystore is on another machine the file is copied there; without one it is as `init` makes it by itself. @throws Error - names the field that is wrong */
export function readInstallation(state: string): Installation {
  const path = join(state, CONFIG_FILE)
  if (!existsSync(path)) return NONE
  const found = schema.safeParse(JSON.parse(readFileSync(path, 'utf8')))
  if (!found.success) throw new Error(`${path}: ${z.prettifyError(found.error)}`, { cause: found.error })
  return found.data
}

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

/** What the keystore process is told by a file; it holds no secret. */
export type KeystoreConfig = {
  /** absolute, 0700, on a local file system */
  state: string
  /** PKCS#11 URI with module-path and pin-source; null: SoftHSM in the state directory */
  token: string | null
  virtualHostSuffix: string | null
  /** the variant of rule 5: READ or WRITE shows an ACL, WRITE changes it */
  readersSeeAcl: boolean
  /** the authority's name in its certificate */
  commonName: string
}

const schema = z.strictObject({
  state: z.string().startsWith('/'),
  token: z.string().startsWith('pkcs11:').nullable(),
  virtualHostSuffix: z
    .string()
    .regex(/^[a-z0-9.-]+$/)
    .nullable(),
  readersSeeAcl: z.boolean().default(false),
  commonName: z.string().min(1).max(64),
})

/** @throws Error - names the field that is wrong */
export function readKeystoreConfig(path: string): KeystoreConfig {
  const found = schema.safeParse(JSON.parse(readFileSync(path, 'utf8')))
  if (!found.success) throw new Error(`${path}: ${z.prettifyError(found.error)}`, { cause: found.error })
  return found.data
}

export function keystorePaths(state: string) {
  return {
    database: join(state, 'keystore.sqlite'),
    release: join(state, 'keystore.sock'),
    administration: join(state, 'keystore-admin.sock'),
    login: join(state, 'keystore-login.sock'),
    softHsm: join(state, 'token'),
    pin: join(state, 'token.pin'),
    profile: join(state, 'token-profile'),
  } as const
}

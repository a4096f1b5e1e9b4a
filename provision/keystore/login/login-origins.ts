import type { Kysely } from 'kysely'
import { AdministrationError } from '../../../format/administration.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import { trustedUrl } from '../providers/bounded-fetch.ts'

/** Where browsers may log in, and so where they may be sent back to: the allow-list. Few; held, and read anew after each change. */
export type LoginOrigins = {
  add(origin: string): Promise<void>
  list(): Promise<string[]>
  remove(origin: string): Promise<void>
  /** The origin of that host, as a Host header names it; null: nobody logs in there. */
  ofHost(host: string): Promise<string | null>
}

const ORIGINS_MAX = 1000

export function loginOriginsOf(database: Kysely<KeystoreSchema>, clock: () => number): LoginOrigins {
  let held: Promise<string[]> | null = null
  const read = async (): Promise<string[]> => {
    const rows = await database
      .selectFrom('login_origins')
      .select('origin')
      .orderBy('origin')
      .limit(ORIGINS_MAX)
      .execute()
    return rows.map(each => each.origin)
  }
  const list = (): Promise<string[]> => {
    held ??= read()
    return held
  }
  return {
    list,
    async add(given) {
      const origin = originOf(given)
      const there = await list()
      if (there.length >= ORIGINS_MAX) throw new AdministrationError('state', `at most ${ORIGINS_MAX} origins`)
      // of one host one origin, so that a Host header says which is meant
      if (there.some(each => new URL(each).host === new URL(origin).host))
        throw new AdministrationError('exists', `${origin}: logging in at that host is on already`)
      await database.insertInto('login_origins').values({ origin, created_at: clock() }).execute()
      held = null
    },
    async remove(given) {
      const origin = originOf(given)
      const gone = await database.deleteFrom('login_origins').where('origin', '=', origin).executeTakeFirst()
      held = null
      if (gone.numDeletedRows === 0n) throw new AdministrationError('not-found', `${origin}: nobody logs in there`)
    },
    async ofHost(host) {
      return (await list()).find(each => new URL(each).host === host.toLowerCase()) ?? null
    },
  }
}

/** @throws AdministrationError "malformed" */
function originOf(text: string): string {
  const url = trustedUrl(text)
  if (url === null || (text !== url.origin && text !== `${url.origin}/`))
    throw new AdministrationError(
      'malformed',
      `${JSON.stringify(text)}: want an origin like https://store.example, or http on loopback`,
    )
  return url.origin
}

import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Kysely } from 'kysely'
import { AdministrationError } from '../../../format/administration.ts'
import type { StationProof } from '../../../format/release.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import { denied } from '../refusal.ts'

/** Stations, each known by the digest of its secret. */
export type Stations = {
  enrol(name: string): Promise<{ station: string; secret: Buffer }>
  /** @throws ReleaseError "denied" */
  require(proof: StationProof): Promise<void>
}

const STATION_NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._@-]{0,63}$/u

export function stationsOf(database: Kysely<KeystoreSchema>, clock: () => number): Stations {
  return {
    async enrol(name) {
      if (!STATION_NAME.test(name))
        throw new AdministrationError('malformed', 'station name: want 1 to 64 letters, digits')
      const taken = await database.selectFrom('stations').select('id').where('name', '=', name).executeTakeFirst()
      if (taken !== undefined) throw new AdministrationError('exists', `there is a station "${name}" already`)
      const id = randomBytes(8).toString('hex')
      const secret = randomBytes(32)
      const secret_digest = hash('sha256', secret, 'buffer')
      await database.insertInto('stations').values({ id, name, secret_digest, created_at: clock() }).execute()
      return { station: id, secret }
    },
    async require({ station, secret }) {
      const row = await database
        .selectFrom('stations')
        .select('secret_digest')
        .where('id', '=', station)
        .executeTakeFirst()
      const digest = hash('sha256', secret, 'buffer')
      if (row === undefined || !timingSafeEqual(digest, row.secret_digest))
        throw denied('no such station, or another secret')
    },
  }
}

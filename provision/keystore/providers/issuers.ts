import type { Kysely } from 'kysely'
import { AdministrationError } from '../../../format/administration.ts'
import { decodeCbor, encodeCbor } from '../../../format/cbor.ts'
import { ISSUER_SETTINGS, type Issuer, type IssuerSettings, TOKEN_ALGORITHMS } from '../../../format/identity.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import type { Accounts } from '../people/accounts.ts'
import type { Groups } from '../people/groups.ts'
import { checkedName, newPrincipalId } from '../people/names.ts'
import type { StateKey } from '../state-key.ts'
import { trustedUrl } from './bounded-fetch.ts'

/** Identity providers that are trusted. There are few: all are held, and read anew after each change. */
export type Issuers = {
  add(settings: IssuerSettings, secret: string | null): Promise<Issuer>
  list(): Promise<Issuer[]>
  remove(reference: string): Promise<void>
  /** By id or name. Fault `not-found`. */
  find(reference: string): Promise<Issuer>
  byId(id: string): Promise<Issuer | null>
  byUrl(url: string): Promise<Issuer | null>
  /** What we prove ourselves with to the provider; null: nothing. */
  secretOf(issuer: Issuer): Promise<string | null>
}

const SETTINGS_MAX = 64 << 10
const ISSUERS_MAX = 1000

export function issuersOf(on: {
  database: Kysely<KeystoreSchema>
  accounts: Accounts
  groups: Groups
  state: StateKey
  clock: () => number
}): Issuers {
  const { database, accounts, groups, state, clock } = on
  let held: Promise<Issuer[]> | null = null
  const read = async (): Promise<Issuer[]> => {
    const rows = await database.selectFrom('issuers').selectAll().orderBy('name').limit(ISSUERS_MAX).execute()
    return rows.map(({ id, settings, secret, created_at }) => ({
      ...ISSUER_SETTINGS.take(decodeCbor(settings, SETTINGS_MAX, 'issuer'), 'issuer'),
      ...{ id, createdAt: created_at, hasSecret: secret !== null },
    }))
  }
  const list = (): Promise<Issuer[]> => {
    held ??= read()
    return held
  }
  const find: Issuers['find'] = async reference => {
    const found = (await list()).find(each => each.id === reference || each.name === reference)
    if (found === undefined) throw new AdministrationError('not-found', `no identity provider "${reference}"`)
    return found
  }
  const sealedAs = (id: string): string => `secret of issuer ${id}`
  return {
    list,
    find,
    byId: async id => (await list()).find(each => each.id === id) ?? null,
    byUrl: async url => (await list()).find(each => each.url === url) ?? null,
    async add(given, secret) {
      const settings = { ...checked(given), account: (await accounts.find(given.account)).id }
      settings.groups = await Promise.all(
        given.groups.map(async ({ claim, group }) => ({ claim, group: (await groups.show(group)).id })),
      )
      const there = await list()
      if (there.length >= ISSUERS_MAX)
        throw new AdministrationError('state', `at most ${ISSUERS_MAX} identity providers`)
      if (there.some(each => each.name === settings.name || each.url === settings.url))
        throw new AdministrationError('exists', 'there is an identity provider of that name or URL already')
      const [id, createdAt] = [newPrincipalId(), clock()]
      await database
        .insertInto('issuers')
        .values({
          ...{ id, name: settings.name, url: settings.url, account: settings.account, created_at: createdAt },
          settings: encodeCbor(ISSUER_SETTINGS.encode(settings)),
          secret: secret === null ? null : state.seal(Buffer.from(secret, 'utf8'), sealedAs(id)),
        })
        .execute()
      held = null
      return { ...settings, id, createdAt, hasSecret: secret !== null }
    },
    async remove(reference) {
      const { id } = await find(reference)
      await database.deleteFrom('issuers').where('id', '=', id).execute()
      held = null
    },
    async secretOf({ id }) {
      const row = await database.selectFrom('issuers').select('secret').where('id', '=', id).executeTakeFirst()
      return row?.secret ? state.open(row.secret, sealedAs(id)).toString('utf8') : null
    },
  }
}

/** @throws AdministrationError "malformed" */
function checked(given: IssuerSettings): IssuerSettings {
  const settings = ISSUER_SETTINGS.take(ISSUER_SETTINGS.encode(given), 'issuer')
  const { url, kind, audiences, algorithms, clientId, groupsClaim } = settings
  const wrong = (what: string): AdministrationError => new AdministrationError('malformed', `issuer: ${what}`)
  const parsed = trustedUrl(url)
  if (parsed === null || (kind === 'oidc' && parsed.search !== ''))
    throw wrong(`${JSON.stringify(url)}: want an https URL, or http on loopback`)
  const unknown = algorithms.find(each => !TOKEN_ALGORITHMS.some(known => known === each))
  if (unknown !== undefined)
    throw wrong(`algorithm ${JSON.stringify(unknown)}: want some of ${TOKEN_ALGORITHMS.join(', ')}`)
  if (kind === 'oidc' && algorithms.length === 0) throw wrong('want an algorithm at least')
  if (kind === 'oidc' && audiences.length === 0 && clientId === null)
    throw wrong('want an audience, for tokens, or a client id, for logging in')
  if ([...audiences, clientId ?? 'x', groupsClaim].includes(''))
    throw wrong('an empty audience, client id or claim name')
  if (kind === 'password' && (audiences.length > 0 || clientId !== null))
    throw wrong('a password service has neither tokens nor a client id')
  return { ...settings, name: checkedName(settings.name) }
}

import { hash } from 'node:crypto'
import type { Kysely } from 'kysely'
import { AdministrationError } from '../../../format/administration.ts'
import type { User } from '../../../format/directory.ts'
import type { Issuer } from '../../../format/identity.ts'
import { ReleaseError } from '../../../format/release.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import type { Audit } from '../audit.ts'
import { newPrincipalId } from '../people/names.ts'
import type { Claimed } from './claims.ts'

/** Which user somebody is whom an identity provider names. */
export type ExternalUsers = {
  /** Made at first sight where the provider's settings say so. Fault `disabled`: nobody here. */
  userOf(issuer: Issuer, who: Claimed): Promise<string>
  link(user: User, issuer: Issuer, subject: string): Promise<void>
  unlink(issuer: Issuer, subject: string): Promise<void>
}

const NAME_DIGITS = 12

export function externalUsersOf({
  database,
  audit,
  clock,
}: {
  database: Kysely<KeystoreSchema>
  audit: Pick<Audit, 'write'>
  clock: () => number
}): ExternalUsers {
  const known = async (url: string, subject: string): Promise<string | null> => {
    const row = await database
      .selectFrom('identities')
      .select('user')
      .where('url', '=', url)
      .where('subject', '=', subject)
      .executeTakeFirst()
    return row?.user ?? null
  }
  const provision = async ({ url, account, name }: Issuer, { subject, email }: Claimed): Promise<void> => {
    const id = newPrincipalId()
    // the subject may be any text: its digest is the name that people see
    const called = `${name.slice(0, 48)}.${hash('sha256', `${url}\n${subject}`, 'hex').slice(0, NAME_DIGITS)}`
    const row = { id, account, name: called, created_at: clock(), disabled_at: null }
    await database.transaction().execute(async change => {
      const owns = await change
        .selectFrom('domains')
        .select('domain')
        .where('account', '=', account)
        .where('domain', '=', email?.split('@').at(-1) ?? '')
        .executeTakeFirst()
      // an address outside the account's own domains could take grants that were meant for somebody else
      await change
        .insertInto('users')
        .values({ ...row, email: owns === undefined ? null : email })
        .execute()
      await change.insertInto('identities').values({ url, subject, user: id, created_at: row.created_at }).execute()
    })
    await audit.write({
      what: 'user create',
      who: `issuer ${name}`,
      about: `${called} (${id}): ${subject}`,
      outcome: 'done',
    })
  }
  /** Requests of somebody new come together: one of them makes him. */
  const making = new Map<string, Promise<void>>()
  return {
    async userOf(issuer, who) {
      const found = await known(issuer.url, who.subject)
      if (found !== null) return found
      if (!issuer.provision)
        throw new ReleaseError('disabled', 'the provider knows him, and nobody here is linked to him')
      const name = `${issuer.url}\n${who.subject}`
      const made = making.get(name) ?? provision(issuer, who).finally(() => making.delete(name))
      making.set(name, made)
      await made
      const user = await known(issuer.url, who.subject)
      if (user === null) throw new ReleaseError('unavailable', 'a user who was just made is not there')
      return user
    },
    async link(user, { url }, subject) {
      const there = await known(url, subject)
      if (there === user.id) return
      if (there !== null)
        throw new AdministrationError('exists', 'that subject is another user already: unlink it first')
      await database.insertInto('identities').values({ url, subject, user: user.id, created_at: clock() }).execute()
    },
    async unlink({ url }, subject) {
      const gone = await database
        .deleteFrom('identities')
        .where('url', '=', url)
        .where('subject', '=', subject)
        .executeTakeFirst()
      if (gone.numDeletedRows === 0n) throw new AdministrationError('not-found', 'that subject is linked to nobody')
    },
  }
}

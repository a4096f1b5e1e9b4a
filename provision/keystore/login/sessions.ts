import { hash, randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import { decodeCbor, encodeCbor } from '../../../format/cbor.ts'
import { count, listOf, nullable, record, text } from '../../../format/codec.ts'
import { FormatError } from '../../../format/fault.ts'
import type { Issuer } from '../../../format/identity.ts'
import { SESSION_SECONDS } from '../../../format/login.ts'
import type { SessionProof } from '../../../format/request-proof.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import type { Age, Believed } from '../proofs/believed.ts'
import { requestHeader } from '../proofs/coverage.ts'
import type { Claimed } from '../providers/claims.ts'
import type { Issuers } from '../providers/issuers.ts'
import { badToken } from '../providers/tokens.ts'
import type { StateKey } from '../state-key.ts'
import type { LoginOrigins } from './login-origins.ts'

/** Sessions of browsers. A ticket is made where this process itself saw what proved the login, and by nobody else. */
export type Sessions = {
  mint(who: Claimed & { user: string }, issuer: Issuer, origin: string): { ticket: string; until: number }
  /** Faults `bad-token`. */
  judge(proof: SessionProof, age: Age): Promise<Believed>
  /** Whose it is; null: nobody's any more. */
  user(ticket: string): Promise<string | null>
  end(ticket: string): Promise<void>
}

type Ticket = {
  id: string
  user: string
  issuer: string
  /** where it was made for, and alone is good */
  origin: string
  /** what the provider said, shortened: mapped to groups of ours when it is judged */
  groups: string[]
  domain: string | null
  issuedAt: number
  until: number
}
const TICKET = record<Ticket>({
  ...{ id: text(32), user: text(128), issuer: text(128), origin: text(260), groups: listOf(text(11), 64) },
  ...{ domain: nullable(text(253)), issuedAt: count(), until: count() },
})
const TICKET_BYTES_MAX = 1500
const WHAT = 'session ticket'

export function sessionsOf(on: {
  database: Kysely<KeystoreSchema>
  issuers: Issuers
  origins: LoginOrigins
  tickets: StateKey['tickets']
  clock: () => number
}): Sessions {
  const { database, issuers, origins, tickets, clock } = on
  const opened = async (ticket: string, age: Age): Promise<Ticket & { of: Issuer }> => {
    const found = read(ticket)
    if (found === null) throw badToken('the session is none of ours')
    if ((found.until <= clock() && age === 'counts') || found.issuedAt > clock())
      throw badToken('the session is over: log in again')
    const ended = await database
      .selectFrom('ended_sessions')
      .select('session')
      .where('session', '=', found.id)
      .executeTakeFirst()
    const of = await issuers.byId(found.issuer)
    if (ended !== undefined || of === null) throw badToken('the session is over: log in again')
    return { ...found, of }
  }
  const read = (ticket: string): Ticket | null => {
    try {
      const plain = tickets.open(Buffer.from(ticket, 'base64url'), WHAT)
      return TICKET.take(decodeCbor(plain, TICKET_BYTES_MAX, WHAT), WHAT)
    } catch (error) {
      if (error instanceof FormatError) return null
      throw error
    }
  }
  return {
    mint({ user, groups, domain }, issuer, origin) {
      const issuedAt = clock()
      const until = issuedAt + SESSION_SECONDS * 1000
      const id = randomBytes(16).toString('hex')
      const ticket: Ticket = {
        ...{ id, user, issuer: issuer.id, origin, domain, issuedAt, until },
        groups: groups.map(shortened),
      }
      return { ticket: tickets.seal(encodeCbor(TICKET.encode(ticket)), WHAT).toString('base64url'), until }
    },
    async judge(proof, age) {
      const { user, origin, groups, domain, of } = await opened(proof.ticket, age)
      if ((await origins.ofHost(requestHeader(proof, 'host') ?? '')) !== origin)
        throw badToken('the session is of another host')
      const mapped = of.groups.filter(each => groups.includes(shortened(each.claim))).map(each => each.group)
      return {
        ...{ user, account: null, accessKey: '', until: null },
        claimed: { groups: mapped, domain },
        aclWrites: of.aclWritesByBearer ? 'unsigned' : 'refused',
      }
    },
    async user(ticket) {
      const found = read(ticket)
      if (found === null) return null
      return (await opened(ticket, 'counts').catch(() => null))?.user ?? null
    },
    async end(ticket) {
      const found = read(ticket)
      if (found === null || found.until <= clock()) return
      await database.deleteFrom('ended_sessions').where('until', '<', clock()).execute()
      await database
        .insertInto('ended_sessions')
        .values({ session: found.id, until: found.until })
        .onConflict(conflict => conflict.doNothing())
        .execute()
    },
  }
}

/** 64 bits: enough to tell apart what one provider's settings list. */
function shortened(claim: string): string {
  return hash('sha256', claim, 'buffer').subarray(0, 8).toString('base64url')
}

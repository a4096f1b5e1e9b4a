import { createHmac, randomBytes } from 'node:crypto'
import type { NameAndPassword } from '../../../access/basic.ts'
import { AccessError } from '../../../access/fault.ts'
import { type Login, LoginError } from '../../../format/login.ts'
import { StoreError } from '../../../store/object-store.ts'

/** Tickets for clients that send a name and a password with each request: the service is asked once in a while, not each time. */
export type BasicTickets = {
  /** @throws AccessError "unknown-key" | "unsupported"; StoreError "busy" */
  of(host: string, who: NameAndPassword, address: string): Promise<string>
}

/** A password that was changed opens nothing after this time. */
const KEPT_MS = 5 * 60_000
const KEPT_MAX = 1000

export function basicTicketsOf(login: Pick<Login, 'password'>, clock: () => Date): BasicTickets {
  // passwords are not kept, but what only this process makes of them
  const key = randomBytes(32)
  const kept = new Map<string, { ticket: Promise<string>; until: number }>()
  const asked = async (host: string, { username, password }: NameAndPassword, address: string): Promise<string> => {
    try {
      return (await login.password({ host, issuer: null, username, password, address, back: '' })).ticket
    } catch (error) {
      if (!(error instanceof LoginError)) throw error
      if (error.fault === 'off')
        throw new AccessError('unsupported', 'a name and password are taken only at hosts where logging in is on')
      if (error.fault === 'refused' || error.fault === 'malformed')
        throw new AccessError('unknown-key', 'name and password do not belong together')
      throw new StoreError('busy', 'The password cannot be checked at this moment. Please try again later.', {
        cause: error,
      })
    }
  }
  return {
    of(host, who, address) {
      const name = createHmac('sha256', key)
        .update(JSON.stringify([host, who.username, who.password]))
        .digest('base64')
      const now = clock().getTime()
      const known = kept.get(name)
      if (known !== undefined && known.until > now) return known.ticket
      const ticket = asked(host, who, address)
      kept.set(name, { ticket, until: now + KEPT_MS })
      ticket.catch(() => kept.delete(name))
      const [oldest] = kept.keys()
      if (kept.size > KEPT_MAX && oldest !== undefined) kept.delete(oldest)
      return ticket
    },
  }
}

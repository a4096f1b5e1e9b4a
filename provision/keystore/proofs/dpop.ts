import { hash } from 'node:crypto'
import { calculateJwkThumbprint, EmbeddedJWK, type JWTPayload, jwtVerify } from 'jose'
import type { Kysely } from 'kysely'
import { canonicalPath } from '../../../access/canonical.ts'
import { TOKEN_ALGORITHMS } from '../../../format/identity.ts'
import type { BearerProof } from '../../../format/request-proof.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import { isLoopback } from '../providers/bounded-fetch.ts'
import { badToken } from '../providers/tokens.ts'
import type { Age } from './believed.ts'
import { requestHeader } from './coverage.ts'

/** Demonstrates that whoever sends a token holds the key it was given to, and for which request (RFC 9449). */
export type Dpop = {
  /**
   * @returns ms since 1970, from when on the proof is too old by itself
   * @throws ReleaseError "bad-token"
   */
  judge(proof: BearerProof, claims: JWTPayload, age: Age): Promise<number>
}

/** Either way of now. */
const WINDOW_SECONDS = 60
/** For so long a write that was begun in time is still that write. */
const WRITE_SECONDS = 3600
const JTI_MAX = 256
const HTU = /^(https?):\/\/([^/?#@\s]+)(\/[^?#\s]*)?$/

export function dpopOf({ database, clock }: { database: Kysely<KeystoreSchema>; clock: () => number }): Dpop {
  return {
    async judge(proof, claims, age) {
      const { dpop } = proof
      if (dpop === null) throw badToken('the token is bound to a key: send a DPoP proof')
      const { payload, jkt } = await signed(dpop, clock())
      const { jti, htm, htu, ath, iat = 0 } = payload
      if (jkt !== confirmedKey(claims)) throw badToken('the DPoP proof is of another key than the token')
      if (htm !== proof.method) throw badToken('the DPoP proof is for another method')
      if (!isOf(htu, proof)) throw badToken('the DPoP proof is for another address')
      if (ath !== hash('sha256', proof.token, 'base64url'))
        throw badToken('the DPoP proof names another token, or none')
      if (typeof jti !== 'string' || jti === '' || jti.length > JTI_MAX)
        throw badToken('the DPoP proof has no jti by which it is known again')
      const writes = proof.method === 'PUT' || proof.method === 'POST'
      const until = (iat + (writes ? WRITE_SECONDS : 2 * WINDOW_SECONDS)) * 1000
      if (age === 'counts') await requireOnce(`${jkt}\n${jti}`, proof, iat, until)
      return until
    },
  }

  /** The store asks about one request several times, a stranger asks with a proof that he saw: it bears another request's number. */
  async function requireOnce(name: string, { requestId }: BearerProof, iat: number, until: number): Promise<void> {
    if (requestId === '') throw badToken('the DPoP proof came without a request')
    const proof = hash('sha256', name, 'buffer')
    await database.deleteFrom('dpop_proofs').where('until', '<', clock()).execute()
    const rows = database.selectFrom('dpop_proofs').select('request').where('proof', '=', proof)
    // a request that began in time may last: its body is long
    const begun = (await rows.executeTakeFirst())?.request === requestId
    if (!begun && Math.abs(Math.floor(clock() / 1000) - iat) > WINDOW_SECONDS)
      throw badToken('the DPoP proof is not of now')
    await database
      .insertInto('dpop_proofs')
      .values({ proof, request: requestId, until })
      .onConflict(conflict => conflict.doNothing())
      .execute()
    if ((await rows.executeTakeFirst())?.request !== requestId) throw badToken('the DPoP proof was used before')
  }
}

async function signed(dpop: string, now: number): Promise<{ payload: JWTPayload; jkt: string }> {
  try {
    const { payload, protectedHeader } = await jwtVerify(dpop, EmbeddedJWK, {
      algorithms: [...TOKEN_ALGORITHMS],
      typ: 'dpop+jwt',
      requiredClaims: ['iat', 'jti', 'htm', 'htu'],
      currentDate: new Date(now),
    })
    if (protectedHeader.jwk === undefined) throw badToken('the DPoP proof names no key')
    return { payload, jkt: await calculateJwkThumbprint(protectedHeader.jwk) }
  } catch (cause) {
    throw badToken('the DPoP proof is not signed as RFC 9449 wants it', cause)
  }
}

/** The key that a token was given to; null: to none. */
export function confirmedKey({ cnf }: JWTPayload): string | null {
  const jkt = cnf !== null && typeof cnf === 'object' && 'jkt' in cnf ? cnf.jkt : null
  return typeof jkt === 'string' ? jkt : null
}

/** Path by its bytes, unresolved as our names are: `..` and `//` are part of a name. */
function isOf(htu: unknown, proof: BearerProof): boolean {
  const [, scheme, host = '', path = '/'] = HTU.exec(typeof htu === 'string' ? htu : '') ?? []
  if (scheme === undefined) return false
  if (scheme === 'http' && !isLoopback(host.replace(/:\d+$/, ''))) return false
  const asked = (requestHeader(proof, 'host') ?? '').toLowerCase()
  const wanted = canonicalPath(Buffer.from(path, 'utf8').toString('latin1'))
  const plain = (name: string): string => name.replace(scheme === 'https' ? /:443$/ : /:80$/, '')
  return plain(host.toLowerCase()) === plain(asked) && wanted !== null && wanted === canonicalPath(proof.rawPath)
}

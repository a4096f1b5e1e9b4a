import type { BearerProof } from '../../../format/request-proof.ts'
import { claimedBy, mappedGroups } from '../providers/claims.ts'
import type { ExternalUsers } from '../providers/external-users.ts'
import type { Issuers } from '../providers/issuers.ts'
import { badToken, issuerNamedBy, type Tokens } from '../providers/tokens.ts'
import type { Age, Believed } from './believed.ts'
import { confirmedKey, type Dpop } from './dpop.ts'

/** Judges tokens of identity providers. They say who asks; what for is the store's word, but for a DPoP proof. */
export type BearerProofs = {
  /** Faults `bad-token`, `disabled`, `unavailable`. */
  judge(proof: BearerProof, age: Age): Promise<Believed>
}

export function bearerProofsOf(on: {
  issuers: Issuers
  tokens: Tokens
  dpop: Dpop
  externalUsers: ExternalUsers
}): BearerProofs {
  const { issuers, tokens, dpop, externalUsers } = on
  return {
    async judge(proof, age) {
      const url = issuerNamedBy(proof.token)
      const issuer = url === null ? null : await issuers.byUrl(url)
      if (issuer === null || issuer.kind !== 'oidc') throw badToken('the token is of no issuer that is trusted here')
      const claims = await tokens.verify(proof.token, issuer, issuer.audiences, age)
      const bound = confirmedKey(claims) !== null
      if (!bound && proof.dpop !== null) throw badToken('the token is bound to no key: send it as Bearer')
      const until = bound ? await dpop.judge(proof, claims, age) : null
      const who = claimedBy(claims, issuer)
      if (who === null) throw badToken('the token names nobody')
      const user = await externalUsers.userOf(issuer, who)
      return {
        ...{ user, account: null, accessKey: '', until },
        claimed: { groups: mappedGroups(who, issuer), domain: who.domain },
        // what a key of the caller's signed with is bound to this very request; a plain token is not
        aclWrites: issuer.aclWritesByBearer ? 'unsigned' : 'refused',
      }
    },
  }
}

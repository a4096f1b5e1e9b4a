import { AccessError } from '../../../access/fault.ts'
import { judgeForm, parseFormPolicy } from '../../../access/form-policy.ts'
import { parseFormSignature, verifyFormSignature } from '../../../access/form-signature.ts'
import { skewSeconds } from '../../../access/proof.ts'
import { parseAmzTime } from '../../../access/time.ts'
import { ReleaseError } from '../../../format/release.ts'
import { decodeProof, type PolicyProof, type RequestProof } from '../../../format/request-proof.ts'
import type { Accounts } from '../people/accounts.ts'
import { denied } from '../refusal.ts'
import type { Age, Believed } from './believed.ts'

/** Judges forms by the policies that their owners signed. */
export type PolicyProofs = {
  /**
   * Faults `no-credential`, `bad-proof`, `skewed`, `disabled`, `expired`, `policy`, `malformed-form`, `malformed-policy`. What is wrong with
   * a policy is said of a good signature only.
   */
  judge(proof: PolicyProof, age: Age): Promise<Believed>
}

export function policyProofsOf({ accounts, clock }: { accounts: Accounts; clock: () => number }): PolicyProofs {
  return {
    async judge(proof, age) {
      const fields = new Map(proof.fields)
      const form = parseFormSignature(fields)
      if (form === null) throw new ReleaseError('no-credential', 'nobody signed the form')
      const credential = await accounts.credential(form.accessKey)
      if (credential === null) throw new ReleaseError('no-credential', 'no such access key')
      if (!verifyFormSignature(form, credential.secret))
        throw new ReleaseError('bad-proof', 'the policy is not signed so')
      const now = clock()
      if (form.scheme !== 'V2' && (parseAmzTime(form.time) ?? 0) > now + skewSeconds * 1000)
        throw new ReleaseError('skewed', 'signed more than 15 minutes from now by this clock')
      if (credential.disabled) throw new ReleaseError('disabled', 'this access key is switched off')
      const policy = parseFormPolicy(form.policy)
      try {
        judgeForm(policy, fields, proof.bucket, age === 'forgiven' ? Math.min(now, policy.expiresAt - 1) : now)
      } catch (cause) {
        if (!(cause instanceof AccessError) || cause.fault !== 'denied') throw cause
        throw new ReleaseError('policy', cause.message, { cause })
      }
      const { user, account, accessKey } = credential
      return { user, account, accessKey, until: policy.expiresAt, claimed: null, aclWrites: 'refused' }
    },
  }
}

/** That a file is as long as the policy, which was believed, lets it be. @throws ReleaseError "denied" */
export function requireLength(proof: RequestProof, bytes: number): void {
  if (proof.kind !== 'policy') return
  const policy = new Map(proof.fields).get('policy')
  const lengths = policy === undefined ? null : parseFormPolicy(policy).lengths
  if (lengths && (bytes < lengths.least || bytes > lengths.most))
    throw denied('a file of a length that no policy allows')
}

/**
 * A form that nobody signed, for this very object. What it asks for, anybody could ask for who may write there.
 * @returns null: a proof of somebody, or none at all
 */
export function unsignedForm(proof: Uint8Array | null, place: { bucket: string; key: string }): PolicyProof | null {
  const form = proof === null ? null : decodeProof(proof)
  if (form === null || form.kind !== 'policy') return null
  const fields = new Map(form.fields)
  if (parseFormSignature(fields) !== null) return null
  if (form.bucket !== place.bucket || fields.get('key') !== place.key) throw denied('a form for another object')
  return form
}

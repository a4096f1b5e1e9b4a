import type { KeyObject } from 'node:crypto'
import type { WireHeader } from '../../../access/canonical.ts'
import { type ChunkClaim, chainHolds, verifyChunk } from '../../../access/chunk-claim.ts'
import { judgeAge, parseProof, skewSeconds, verifySignature } from '../../../access/proof.ts'
import { SCHEMES } from '../../../access/scheme.ts'
import { scopeText, signingKey } from '../../../access/signing-key.ts'
import { parseAmzTime } from '../../../access/time.ts'
import { type ChunkProof, ReleaseError } from '../../../format/release.ts'
import type { SignedProof } from '../../../format/request-proof.ts'
import { Lru } from '../lru.ts'
import type { Accounts, Credential } from '../people/accounts.ts'
import type { Age, Believed } from './believed.ts'

/** Judges signatures of requests, made with secrets that never leave this process. */
export type SignedProofs = {
  /** Faults `no-credential`, `bad-proof`, `expired`, `skewed`, `disabled`. */
  judge(proof: SignedProof, age: Age): Promise<Believed>
  /** Of a request that `judge` believed. Fault `bad-proof`. */
  verifyChunks(proof: SignedProof, chunks: ChunkProof[]): Promise<void>
}

const SIGNING_KEYS_MAX = 10_000
const HEX_DIGEST = /^[0-9a-f]{64}$/

export function signedProofsOf({ accounts, clock }: { accounts: Accounts; clock: () => number }): SignedProofs {
  const keys = new Lru<string, { secret: string; key: KeyObject }>(SIGNING_KEYS_MAX)
  const keyOf = (credential: Credential, proof: SignedProof): KeyObject => {
    const name = `${credential.accessKey}/${scopeText(proof)}`
    const cached = keys.get(name)
    if (cached?.secret === credential.secret) return cached.key
    const key = signingKey(credential.secret, proof)
    keys.set(name, { secret: credential.secret, key })
    return key
  }
  /** The secret that a proof was made with: while that is the key's secret, its signature is sound again. */
  const madeWith = new WeakMap<SignedProof, string>()
  const credentialOf = async (proof: SignedProof): Promise<Credential> => {
    const credential = await accounts.credential(proof.accessKey)
    if (credential === null) throw new ReleaseError('no-credential', 'no such access key')
    return credential
  }
  return {
    async judge(proof, age) {
      const credential = await credentialOf(proof)
      if (madeWith.get(proof) !== credential.secret) {
        const verdict = verifySignature(proof, keyOf(credential, proof))
        if (!verdict.ok) throw new ReleaseError('bad-proof', verdict.message)
        madeWith.set(proof, credential.secret)
      }
      const verdict = judgeAge(proof, new Date(clock()))
      if (!verdict.ok) {
        const untimely = verdict.fault === 'expired' || verdict.fault === 'skewed' ? verdict.fault : null
        const forgiven = age === 'forgiven' && untimely !== null && isPast(proof, clock())
        if (!forgiven) throw new ReleaseError(untimely ?? 'bad-proof', verdict.message)
      }
      // after the signature: whoever cannot sign learns nothing of the key's state
      if (credential.disabled) throw new ReleaseError('disabled', 'this access key is switched off')
      const { user, accessKey } = credential
      // a header lives as long before its time as after it
      const until = (parseAmzTime(proof.time) ?? 0) + ((proof.expiresSeconds ?? 0) + 2 * skewSeconds) * 1000
      const { account } = credential
      return { user, accessKey, account, until, claimed: null, aclWrites: 'signed' }
    },
    async verifyChunks(proof, chunks) {
      if (!proof.payload.startsWith('STREAMING-AWS4-HMAC-SHA256-PAYLOAD'))
        throw new ReleaseError('bad-proof', 'the request did not announce signed chunks')
      const { time, date, region } = proof
      const claims = chunks.map(({ kind, previousSignature, digest, signature }): ChunkClaim => {
        if (![previousSignature, digest, signature].every(text => HEX_DIGEST.test(text)))
          throw new ReleaseError('malformed', 'chunk: want 64 hex digits each')
        return { kind, time, date, region, previous: previousSignature, digest, signature }
      })
      const [first] = claims
      if (first === undefined) return
      const key = keyOf(await credentialOf(proof), proof)
      // a batch goes on from the request or from a chunk judged earlier: signed itself, its own `previous` is believed
      if (!chainHolds(claims, proof, first.previous) || !claims.every(claim => verifyChunk(claim, key)))
        throw new ReleaseError('bad-proof', 'a chunk of the body is not signed as its request is')
    },
  }
}

/**
 * That a proof is as the parser of real requests would have made it. What the signature does not cover (its form, life of a presigned URL)
 * must follow from what it covers: otherwise a lying store could make a 15-minute signature last 7 days.
 *
 * @throws ReleaseError "bad-proof"; AccessError - no request that the parser reads
 */
export function requireAsParsed(proof: SignedProof): void {
  const { method, rawPath, rawQuery, headers } = proof
  const parsed = parseProof({ method, rawPath, rawQuery, headers: [...headers, ...unsigned(proof)] })
  if (parsed === null || !isSame(parsed, proof))
    throw new ReleaseError('bad-proof', 'not what the signed request itself says')
}

/** All fields but the headers; the compiler misses one that is left out. */
const FIELDS: { readonly [Name in Exclude<keyof SignedProof, 'headers'>]: true } = {
  ...{ kind: true, scheme: true, form: true, method: true, rawPath: true, rawQuery: true, payload: true },
  ...{ accessKey: true, date: true, region: true, time: true, expiresSeconds: true, signature: true },
}
const NAMES = Object.keys(FIELDS) as (keyof typeof FIELDS)[]

function isSame(one: SignedProof, other: SignedProof): boolean {
  return (
    NAMES.every(name => one[name] === other[name]) &&
    one.headers.length === other.headers.length &&
    one.headers.every(([name, value], at) => name === other.headers[at]?.[0] && value === other.headers[at][1])
  )
}

/** What a request carries beside its signed headers. */
function unsigned(proof: SignedProof): WireHeader[] {
  if (proof.form === 'presigned') return []
  const { algorithm, dateHeader } = SCHEMES[proof.scheme]
  const names = [...new Set(proof.headers.map(([name]) => name))]
  const authorization =
    `${algorithm} Credential=${proof.accessKey}/${scopeText(proof)},` +
    `SignedHeaders=${names.join(';')},Signature=${proof.signature}`
  const at = parseAmzTime(proof.time)
  const dated = names.includes(dateHeader) || names.includes('date') || at === null
  return [['authorization', authorization], ...(dated ? [] : [['date', new Date(at).toUTCString()] as const])]
}

function isPast(proof: SignedProof, now: number): boolean {
  const at = parseAmzTime(proof.time)
  return at !== null && at <= now
}

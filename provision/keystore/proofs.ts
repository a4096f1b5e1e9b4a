import { hash, type KeyObject } from 'node:crypto'
import type { Who } from '../../access/acl/decide.ts'
import type { WireHeader } from '../../access/canonical.ts'
import { type ChunkClaim, chainHolds, verifyChunk } from '../../access/chunk-claim.ts'
import { AccessError } from '../../access/fault.ts'
import { judgeAge, parseProof, verifySignature } from '../../access/proof.ts'
import { scopeText, signingKey } from '../../access/signing-key.ts'
import { parseAmzTime } from '../../access/time.ts'
import { equalBytes } from '../../format/bytes.ts'
import { FormatError } from '../../format/fault.ts'
import { type ChunkProof, type Principal, ReleaseError } from '../../format/release.ts'
import { decodeProof, encodeProof, type RequestProof } from '../../format/request-proof.ts'
import type { Accounts, Credential } from './accounts.ts'
import { type SignedTarget, signedTarget } from './coverage.ts'
import { Lru } from './lru.ts'
import type { Memberships } from './memberships.ts'
import type { Users } from './users.ts'

export type Judged = {
  principal: Principal
  /** the same for the decision on ACLs */
  who: Who
  proof: RequestProof
  target: SignedTarget | null
}

/** Judges what callers signed, with secrets that never leave this process. */
export type Proofs = {
  /** Faults `no-credential`, `bad-proof`, `expired`, `skewed`, `disabled`. */
  judge(bytes: Uint8Array): Promise<Judged>
  /** The same for the request that created a long upload: its age alone is forgiven. */
  judgeCreation(bytes: Uint8Array): Promise<Judged>
  verifyChunks(bytes: Uint8Array, chunks: ChunkProof[]): Promise<void>
}

/** A proof whose signature was sound, and the secret that it was made with: while that is the key's secret, it is sound again. */
type Sound = { proof: RequestProof; target: SignedTarget | null; secret: string }

/** A request is asked about some times within moments. */
const SOUND_MAX = 2000

const SIGNING_KEYS_MAX = 10_000
const HEX_DIGEST = /^[0-9a-f]{64}$/

export function proofsOf(on: {
  accounts: Accounts
  users: Pick<Users, 'byId'>
  memberships: Memberships
  hostSuffix: string | null
  clock: () => number
}): Proofs {
  const { accounts, users, memberships, hostSuffix, clock } = on
  const keys = new Lru<string, { secret: string; key: KeyObject }>(SIGNING_KEYS_MAX)
  const keyOf = (credential: Credential, proof: RequestProof): KeyObject => {
    const name = `${credential.accessKey}/${scopeText(proof)}`
    const cached = keys.get(name)
    if (cached?.secret === credential.secret) return cached.key
    const key = signingKey(credential.secret, proof)
    keys.set(name, { secret: credential.secret, key })
    return key
  }
  const sound = new Lru<string, Sound>(SOUND_MAX)
  /** What never changes of a proof is looked at once. Its age, and the state of key and account, each time. */
  const signed = async (bytes: Uint8Array): Promise<Sound & { credential: Credential }> => {
    const name = hash('sha256', bytes, 'base64')
    const known = sound.get(name)
    const proof = known?.proof ?? soundProof(bytes)
    const credential = await accounts.credential(proof.accessKey)
    if (credential === null) throw new ReleaseError('no-credential', 'no such access key')
    if (known !== undefined && known.secret === credential.secret) return { ...known, credential }
    const verdict = verifySignature(proof, keyOf(credential, proof))
    if (!verdict.ok) throw new ReleaseError('bad-proof', verdict.message)
    const found = { proof, target: signedTarget(proof, hostSuffix), secret: credential.secret }
    sound.set(name, found)
    return { ...found, credential }
  }
  const believed = async (bytes: Uint8Array, age: 'counts' | 'forgiven'): Promise<Judged & { key: KeyObject }> => {
    const { proof, target, credential } = await signed(bytes)
    const verdict = judgeAge(proof, new Date(clock()))
    if (!verdict.ok) {
      const untimely = verdict.fault === 'expired' || verdict.fault === 'skewed' ? verdict.fault : null
      const forgiven = age === 'forgiven' && untimely !== null && isPast(proof, clock())
      if (!forgiven) throw new ReleaseError(untimely ?? 'bad-proof', verdict.message)
    }
    // after the signature: whoever cannot sign learns nothing of the key's state
    const [account, user] = [await accounts.byId(credential.account), await users.byId(credential.user)]
    if (credential.disabled || account === null || account.disabled || user === null || user.disabled)
      throw new ReleaseError('disabled', 'this access key, its user or its account is switched off')
    const { groups, domains, lists } = await memberships.of(user)
    const principal = { account: account.id, user: user.id, name: user.name, accessKey: credential.accessKey, ...lists }
    const who = { kind: 'known', id: user.id, groups, domains } as const
    return { principal, who, proof, target, key: keyOf(credential, proof) }
  }
  return {
    judge: bytes => believed(bytes, 'counts'),
    judgeCreation: bytes => believed(bytes, 'forgiven'),
    async verifyChunks(bytes, chunks) {
      // a long body outlives the 15 minutes of its head, which was judged when it came
      const { proof, key } = await believed(bytes, 'forgiven')
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
      // a batch goes on from the request or from a chunk judged earlier: signed itself, its own `previous` is believed
      if (!chainHolds(claims, proof, first.previous) || !claims.every(claim => verifyChunk(claim, key)))
        throw new ReleaseError('bad-proof', 'a chunk of the body is not signed as its request is')
    },
  }
}

/**
 * A proof as the parser of real requests would have made it. What the signature does not cover (kind, life of a presigned URL) must
 * follow from what it covers: otherwise a lying store could make a 15-minute signature last 7 days.
 */
function soundProof(bytes: Uint8Array): RequestProof {
  try {
    const proof = decodeProof(bytes)
    const parsed = parseProof({
      method: proof.method,
      rawPath: proof.rawPath,
      rawQuery: proof.rawQuery,
      headers: [...proof.headers, ...unsigned(proof)],
    })
    if (parsed === null || !equalBytes(encodeProof(parsed), bytes))
      throw new ReleaseError('bad-proof', 'not what the signed request itself says')
    return proof
  } catch (cause) {
    if (cause instanceof AccessError || cause instanceof FormatError)
      throw new ReleaseError('bad-proof', cause.message, { cause })
    throw cause
  }
}

/** What a request carries beside its signed headers. */
function unsigned(proof: RequestProof): WireHeader[] {
  if (proof.kind === 'presigned') return []
  const names = [...new Set(proof.headers.map(([name]) => name))]
  const authorization =
    `AWS4-HMAC-SHA256 Credential=${proof.accessKey}/${scopeText(proof)},` +
    `SignedHeaders=${names.join(';')},Signature=${proof.signature}`
  const at = parseAmzTime(proof.time)
  const dated = names.includes('x-amz-date') || names.includes('date') || at === null
  return [['authorization', authorization], ...(dated ? [] : [['date', new Date(at).toUTCString()] as const])]
}

function isPast(proof: RequestProof, now: number): boolean {
  const at = parseAmzTime(proof.time)
  return at !== null && at <= now
}

import { hash } from 'node:crypto'
import type { Who } from '../../../access/acl/decide.ts'
import { AccessError } from '../../../access/fault.ts'
import { FormatError } from '../../../format/fault.ts'
import { type ChunkProof, type Principal, ReleaseError } from '../../../format/release.ts'
import { decodeProof, type RequestProof } from '../../../format/request-proof.ts'
import type { Sessions } from '../login/sessions.ts'
import { Lru } from '../lru.ts'
import type { Accounts } from '../people/accounts.ts'
import type { Memberships } from '../people/memberships.ts'
import type { Users } from '../people/users.ts'
import type { BearerProofs } from './bearer-proofs.ts'
import type { AclWrites, Age, Believed } from './believed.ts'
import { type RequestTarget, requestTarget } from './coverage.ts'
import type { PolicyProofs } from './policy-proofs.ts'
import { requireAsParsed, type SignedProofs } from './signed-proofs.ts'
import type { UploadTickets } from './upload-tickets.ts'

export type Judged = {
  principal: Principal
  /** the same for the decision on ACLs */
  who: Who
  proof: RequestProof
  target: RequestTarget | null
  until: number | null
  aclWrites: AclWrites
}

/** Judges what callers prove themselves with: each kind in a file of its own, all with secrets that never leave this process. */
export type Proofs = {
  /** Faults `no-credential`, `bad-proof`, `bad-token`, `expired`, `skewed`, `disabled`. */
  judge(bytes: Uint8Array): Promise<Judged>
  /** The same for the request that created a long upload: its age alone is forgiven. */
  judgeCreation(bytes: Uint8Array): Promise<Judged>
  /** Of a write that `hold` was told of while it was of now, the age is forgiven; everything else counts. */
  judgeWrite(bytes: Uint8Array): Promise<Judged>
  /** Faults of `judge`. */
  hold(bytes: Uint8Array): Promise<void>
  verifyChunks(bytes: Uint8Array, chunks: ChunkProof[]): Promise<void>
}

type Read = { proof: RequestProof; target: RequestTarget | null }

/** Long writes under way. */
const HELD_MAX = 10_000
const HELD_MS = 86_400_000
/** A request is asked about some times within moments. */
const READ_MAX = 2000

export function proofsOf(on: {
  accounts: Accounts
  users: Pick<Users, 'byId'>
  memberships: Memberships
  signed: SignedProofs
  bearer: BearerProofs
  sessions: Pick<Sessions, 'judge'>
  policies: PolicyProofs
  uploads: Pick<UploadTickets, 'judge'>
  hostSuffix: string | null
  clock: () => number
}): Proofs {
  const { accounts, users, memberships, signed, bearer, sessions, policies, uploads, hostSuffix, clock } = on
  /** Of proofs that were believed: what never changes of one is looked at once, what may change each time. */
  const read = new Lru<string, Read>(READ_MAX)
  /** when they were held, ms since 1970 */
  const held = new Lru<string, number>(HELD_MAX)

  const believed = async (proof: RequestProof, age: Age): Promise<Believed> => {
    switch (proof.kind) {
      case 'signed':
        return signed.judge(proof, age)
      case 'policy':
        return policies.judge(proof, age)
      case 'upload':
        return uploads.judge(proof)
      case 'bearer':
        return bearer.judge(proof, age)
      case 'session':
        return sessions.judge(proof, age)
    }
  }
  const judge = async (bytes: Uint8Array, age: Age): Promise<Judged> => {
    const name = nameOf(bytes)
    const known = read.get(name)
    const { proof, target } = known ?? readProof(bytes, hostSuffix)
    const { user: id, account: of, accessKey, until, claimed, aclWrites } = await believed(proof, age)
    if (known === undefined) read.set(name, { proof, target })
    const user = await users.byId(id)
    const account = await accounts.byId(of ?? user?.account ?? '')
    if (account === null || account.disabled || user === null || user.disabled)
      throw new ReleaseError('disabled', 'this user or the account is switched off')
    const { groups, domains, lists } = await memberships.of(user, claimed)
    const principal = { account: account.id, user: user.id, name: user.name, accessKey, ...lists }
    return { principal, who: { kind: 'known', id: user.id, groups, domains }, proof, target, until, aclWrites }
  }
  return {
    judge: bytes => judge(bytes, 'counts'),
    judgeCreation: bytes => judge(bytes, 'forgiven'),
    judgeWrite(bytes) {
      const since = held.get(nameOf(bytes))
      return judge(bytes, since !== undefined && clock() - since < HELD_MS ? 'forgiven' : 'counts')
    },
    async hold(bytes) {
      await judge(bytes, 'counts')
      const name = nameOf(bytes)
      if (held.get(name) === undefined) held.set(name, clock())
    },
    async verifyChunks(bytes, chunks) {
      // a long body outlives the 15 minutes of its head, which was judged when it came
      const { proof } = await judge(bytes, 'forgiven')
      if (proof.kind !== 'signed') throw new ReleaseError('bad-proof', 'chunks are signed where the request is')
      await signed.verifyChunks(proof, chunks)
    },
  }
}

function nameOf(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'base64')
}

/** @throws ReleaseError "bad-proof" */
function readProof(bytes: Uint8Array, hostSuffix: string | null): Read {
  try {
    const proof = decodeProof(bytes)
    if (proof.kind === 'signed') requireAsParsed(proof)
    return { proof, target: requestTarget(proof, hostSuffix) }
  } catch (cause) {
    if (cause instanceof AccessError || cause instanceof FormatError)
      throw new ReleaseError('bad-proof', cause.message, { cause })
    throw cause
  }
}

/** The part of the honest authority that knows ACLs: canned ones are enough for the tests that stand on it. */
import { R } from '../../access/acl/acl.ts'
import { expandCanned, parseCanned } from '../../access/acl/canned.ts'
import { mayDo } from '../../access/acl/decide.ts'
import { askOfCarrier } from '../../access/acl/headers.ts'
import { encodeAcl, parseAcl } from '../../access/acl/text.ts'
import { type BucketFacts, type KeyRelease, ReleaseError } from '../../format/release.ts'
import { decodeProof } from '../../format/request-proof.ts'

type BucketCalls = Pick<KeyRelease, 'openBucket' | 'bindBucket' | 'closeBucket'>

export function authorityAcls(on: { isByHand(proof: Uint8Array): boolean; accountOf(proof: Uint8Array): string }) {
  const buckets = new Map<string, BucketFacts>()
  let revision = 0
  /** What the request's headers ask for. */
  const asked = (proof: Uint8Array, owner: string, bucketOwner: string | null): string | null => {
    if (on.isByHand(proof)) return null
    const ask = askOfCarrier(decodeProof(proof))
    if (ask.kind === 'none') return null
    if (ask.kind !== 'canned') throw new ReleaseError('malformed-acl', 'canned ACLs only')
    return encodeAcl(expandCanned(parseCanned(ask.name, ask.dialect, 'object'), owner, bucketOwner))
  }
  const ownersAlone = (owner: string): string => encodeAcl(expandCanned('private', owner, null))
  const calls: BucketCalls = {
    async openBucket({ proof, bucket }) {
      const account = on.accountOf(proof)
      const acl = asked(proof, account, account) ?? ownersAlone(account)
      const facts = { owner: account, account, acl, defaultAcl: null, revision: ++revision }
      buckets.set(bucket, facts)
      return facts
    },
    async bindBucket({ proof, bucket, of }) {
      const facts = buckets.get(bucket)
      if (facts === undefined) throw new ReleaseError('denied', 'no such bucket')
      const acl = asked(proof, facts.owner, facts.owner) ?? ''
      const changed = { ...facts, ...(of === 'acl' ? { acl } : { defaultAcl: acl }), revision: ++revision }
      buckets.set(bucket, changed)
      return { ...changed, held: true }
    },
    async closeBucket({ bucket }) {
      buckets.delete(bucket)
    },
  }
  return {
    calls,
    nextRevision: () => ++revision,
    asked,
    ofNewObject: (proof: Uint8Array, owner: string, bucket: string): string =>
      asked(proof, owner, buckets.get(bucket)?.owner ?? null) ?? ownersAlone(owner),
    /** @throws ReleaseError "denied" */
    requireRead(object: { owner: string; acl: string; bucket: string }, account: string | null): void {
      const nobody = new Set<string>()
      const who =
        account === null
          ? ({ kind: 'anonymous' } as const)
          : ({ kind: 'known', id: account, groups: nobody, domains: nobody } as const)
      const bucketOwner = buckets.get(object.bucket)?.owner ?? null
      const resource = { kind: 'object', owner: object.owner, bucketOwner, acl: parseAcl(object.acl) } as const
      if (!mayDo(resource, who, R)) throw new ReleaseError('denied', 'the binding says no')
    },
  }
}

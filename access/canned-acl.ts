/** The canned ACLs that owner-only stores understand. */
export const cannedAcls = ['private', 'public-read'] as const
export type CannedAcl = (typeof cannedAcls)[number]

/** Right bits: read, write, read the ACL, write the ACL. */
export type Right = 'R' | 'W' | 'RA' | 'WA'
/** `anonymous` has no id; two callers are the same when their ids are. */
export type Caller = { kind: 'known'; id: string } | { kind: 'anonymous' }

export function parseCannedAcl(text: string): CannedAcl | null {
  return cannedAcls.find(name => name === text) ?? null
}

/** The owner may all; `public-read` lets everybody else read; nothing else is given. */
export function mayDo(acl: CannedAcl, ownerId: string, who: Caller, right: Right): boolean {
  if (who.kind === 'known' && who.id === ownerId) return true
  return acl === 'public-read' && right === 'R'
}

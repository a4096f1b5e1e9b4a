/**
 * The ACL decision a second time, from the rules' sentences and with nothing of access/: sets of words, no bits. What the two say of all
 * small worlds must be the same.
 */
export type World = {
  on: 'bucket' | 'object'
  owner: string | null
  bucketOwner: string | null
  entries: { whom: string; grants: string[] }[]
  specificOverrides: boolean
  readersSeeAcl: boolean
  /** null: the list cannot be had */
  there: boolean
  /** null: anonymous */
  asks: { id: string; memberOf: string[]; domainsOf: string[] } | null
}

const EVERY = ['READ', 'WRITE', 'READ_ACP', 'WRITE_ACP']

export function oracle(world: World): Set<string> {
  const may = new Set<string>()
  const { asks } = world
  if (asks !== null && world.owner !== null && asks.id === world.owner) for (const right of EVERY) may.add(right)
  else if (world.there) {
    // from the most special to the most general
    const circles = [
      (whom: string) => asks !== null && whom === `user ${asks.id}`,
      (whom: string) => asks?.memberOf.some(group => whom === `group ${group}`) === true,
      (whom: string) => asks?.domainsOf.some(domain => whom === `domain ${domain}`) === true,
      (whom: string) => asks !== null && whom === 'everybody known',
      (whom: string) => whom === 'everybody',
    ]
    for (const circle of circles) {
      const found = world.entries.filter(({ whom }) =>
        circle(whom === 'the bucket owner' && world.bucketOwner !== null ? `user ${world.bucketOwner}` : whom),
      )
      for (const { grants } of found)
        for (const grant of grants) for (const right of grant === 'FULL_CONTROL' ? EVERY : [grant]) may.add(right)
      if (found.length > 0 && world.specificOverrides) break
    }
  }
  if (world.on === 'object') may.delete('WRITE')
  const isOwner = asks !== null && asks.id === world.owner
  if (world.readersSeeAcl && !isOwner) {
    if (may.has('READ') || may.has('WRITE')) may.add('READ_ACP')
    if (may.has('WRITE')) may.add('WRITE_ACP')
  }
  return may
}

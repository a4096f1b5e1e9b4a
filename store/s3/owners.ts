import { hasOwners } from '../ability.ts'
import { type Call, ownerElement } from './call.ts'
import type { Principal } from './gate.ts'
import type { Xml } from './xml-out.ts'

/** Whoever begins an upload owns what becomes of it. */
export type OwnerElements = { owner: Xml; initiator: Xml }
type Owned = { owner?: string | null }

/**
 * The owner of each of these, for an answer. Where the store knows no owners all that is there is the caller's.
 * @param things - of one page, at most 1000
 */
export async function ownerElements(
  { store, admission }: Call,
  things: Owned[],
): Promise<(thing: Owned) => OwnerElements> {
  if (!hasOwners(store)) {
    const callers = elementsOf(admission.principal)
    return () => callers
  }
  const ids = [...new Set(things.flatMap(({ owner }) => owner ?? []))]
  const names = await store.namesOf(ids)
  const elements = new Map(ids.map(id => [id, elementsOf({ id, displayName: names.get(id) ?? id })]))
  const nobody = elementsOf(null)
  return ({ owner }) => elements.get(owner ?? '') ?? nobody
}

function elementsOf(principal: Principal | null): OwnerElements {
  return { owner: ownerElement(principal), initiator: ownerElement(principal, 'Initiator') }
}

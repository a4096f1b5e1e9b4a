import { AccessError } from '../fault.ts'
import type { Acl } from './acl.ts'
import { encodeAcl, parseAcl } from './text.ts'

/**
 * What decides about a resource: entries of its own, or an ACL object, looked up at each decision (rule 34). `generation` null: whichever
 * is live.
 */
export type BoundAcl =
  | { readonly kind: 'own'; readonly acl: Acl }
  | { readonly kind: 'reference'; readonly id: string; readonly generation: number | null }

const REFERENCE = /^reference ([0-9a-f]{16})(?:#([1-9][0-9]{0,15}))?$/

/** `reference ID`, `reference ID#GENERATION`, or the text of the entries. One has one text. */
export function encodeBoundAcl(bound: BoundAcl): string {
  if (bound.kind === 'own') return encodeAcl(bound.acl)
  return `reference ${bound.id}${bound.generation === null ? '' : `#${bound.generation}`}`
}

/** Whether the text is one, well-formed or not. */
export function isReference(text: string): boolean {
  return text.startsWith('reference ')
}

/** @throws AccessError "malformed-acl" - not what `encodeBoundAcl` writes */
export function parseBoundAcl(text: string): BoundAcl {
  if (!isReference(text)) return { kind: 'own', acl: parseAcl(text) }
  const [, id, generation] = REFERENCE.exec(text) ?? []
  if (id === undefined) throw new AccessError('malformed-acl', 'the text of a reference is not as this store writes it')
  return { kind: 'reference', id, generation: generation === undefined ? null : Number(generation) }
}

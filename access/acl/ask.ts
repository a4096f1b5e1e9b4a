import type { Rights } from './acl.ts'

/**
 * What a request asks for in the matter of an ACL: parsed, not yet resolved. Store and keystore read it from the same bytes.
 */
export type AclAsk =
  | { readonly kind: 'none' }
  /** `name` as it came: which are possible depends on what it is for */
  | { readonly kind: 'canned'; readonly dialect: Dialect; readonly name: string }
  | GrantsAsk
  | NamedAsk

export type GrantsAsk = {
  readonly kind: 'grants'
  readonly dialect: Dialect
  readonly grants: readonly Grant[]
  /** whom a submitted document calls the owner; null: it does not say */
  readonly owner: string | null
}

/** An object that is the ACL (rule 30). */
export type NamedAsk = { readonly kind: 'named'; readonly name: AclName; readonly mode: 'copy' | 'reference' }

/** `generation` null: whichever is live. */
export type AclName = { readonly bucket: string; readonly key: string; readonly generation: string | null }

/** Which headers and documents: Amazon's, Google's, ours. */
export type Dialect = 's3' | 'google' | 'storage'

export type Grant = { readonly grantee: Grantee; readonly rights: Rights; readonly name?: string }

/** A scope as it is written down; e-mail addresses become ids before anything is kept (rule 6). */
export type Grantee =
  | { readonly by: 'user-id'; readonly id: string }
  | { readonly by: 'user-email'; readonly email: string }
  | { readonly by: 'group-id'; readonly id: string }
  | { readonly by: 'group-email'; readonly email: string }
  | { readonly by: 'domain'; readonly domain: string }
  | { readonly by: 'authenticated' }
  | { readonly by: 'all' }
  | { readonly by: 'bucket-owner' }

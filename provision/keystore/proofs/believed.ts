/** Whom a proof of one kind proves: a user, before it is asked whether he or his account is switched off. */
export type Believed = {
  user: string
  /** whose the credential is; null: the user's own */
  account: string | null
  /** empty: there is none in it */
  accessKey: string
  /** ms since 1970: from then on the request is too old by itself; null: nothing of the request is proved */
  until: number | null
  /** what an identity provider said of him besides; null: nobody but us says anything */
  claimed: { groups: string[]; domain: string | null } | null
  aclWrites: AclWrites
}

/** `signed`: of documents whose digest was signed. `unsigned`: the installation takes them from callers who sign nothing. */
export type AclWrites = 'signed' | 'unsigned' | 'refused'

/** `forgiven`: a request that began something long is older by now than it may be; a time to come is never forgiven. */
export type Age = 'counts' | 'forgiven'

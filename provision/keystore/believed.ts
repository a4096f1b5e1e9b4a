/** Whom a proof of one kind proves: a user of an account, before it is asked whether they are switched off. */
export type Believed = {
  user: string
  account: string
  /** empty: there is none in it */
  accessKey: string
  /** ms since 1970: from then on the request is too old by itself; null: nothing of the request is proved */
  until: number | null
}

/** `forgiven`: a request that began something long is older by now than it may be; a time to come is never forgiven. */
export type Age = 'counts' | 'forgiven'

import type { Credentials } from '../../access/sign.ts'

/** Someone else's S3 endpoint, a bucket in it, and where in the bucket. Requests name the bucket in the path. */
export type RemoteSettings = {
  /** origin, without a path */
  url: string
  bucket: string
  /** what all our keys begin with; it is of one store alone */
  prefix: string
  region: string
  /** Larger blobs go up in parts of so many bytes, at least 5 MiB; after each thousand parts the next are twice as large. */
  partBytes: number
  /** the endpoint encrypts, so that its ETags are no MD5 of what it got */
  opaqueEtags: boolean
}

/** How often and how long is tried. */
export type Patience = {
  attempts: number
  /** the wait before attempt n+1 is anything up to `firstWaitMs` · 2^(n-1), at most `longestWaitMs` */
  firstWaitMs: number
  longestWaitMs: number
  /** without a byte in either direction */
  idleMs: number
  /** a try takes so long at most, and its bytes at `leastBytesPerSecond` on top */
  tryMs: number
  leastBytesPerSecond: number
}

export const USUAL_PATIENCE: Patience = {
  attempts: 4,
  firstWaitMs: 200,
  longestWaitMs: 5000,
  idleMs: 10_000,
  tryMs: 60_000,
  leastBytesPerSecond: 64 << 10,
}

export type RemoteOptions = {
  /** as it is called in messages */
  name: string
  settings: RemoteSettings
  credentials: Credentials
  clock: () => Date
  patience?: Patience
}

import type { Principal } from './gate.ts'

/**
 * Told of each request as it arrives, before anybody is asked whose it is. What is refused here has cost nothing.
 * @throws S3Error
 */
export type Watch = (arrived: { requestId: string; method: string; remote: string | null }) => Watched

/** One request under watch. */
export type Watched = {
  /** It was let in. @throws S3Error - refused, before its body is read */
  admit(admitted: Admitted): Promise<void>
  /** It has ended, whatever became of it; called once. */
  end(result: Ended): void
}

export type Admitted = {
  /** `PUT`, `GET ?acl`, … */
  verb: string
  bucket: string | null
  key: string | null
  /** null: anonymous. Of a read it may be a guess till the answer: see `Purpose` */
  principal: Principal | null
  /** bytes that the request says it brings; null: it does not say */
  length: number | null
}

/** Bytes of bodies as they went over the wire. */
export type Ended = { status: number; code: string | null; bytesIn: number; bytesOut: number }

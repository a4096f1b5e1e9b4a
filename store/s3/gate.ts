import type { KeyObject } from 'node:crypto'
import { type ChunkClaim, chainHolds, verifyChunk } from '../../access/chunk-claim.ts'
import { AccessError } from '../../access/fault.ts'
import type { FormFields } from '../../access/form-signature.ts'
import { parseProof, type RequestHead, verifyProof } from '../../access/proof.ts'
import { type Scope, scopeText, signingKey } from '../../access/signing-key.ts'
import type { ObjectStore } from '../object-store.ts'

export type Principal = { id: string; displayName: string }

/** What a caller is let in with. The face asks the store for everything and decides nothing. */
export type Admission = {
  /** shown as owner; null: anonymous */
  principal: Principal | null
  /** already bound to this caller */
  store: ObjectStore
  /** the payload mode or digest the caller's signature covers; null where nothing was signed */
  payload: string | null
  /**
   * Seed of a signed aws-chunked body and the judge of its claims, given in batches in the order of the body.
   * The judge throws AccessError "signature-mismatch".
   */
  chunks?: { seed: Pick<ChunkClaim, 'time' | 'date' | 'region'> & { signature: string }; judge: ChunkJudge }
}
export type ChunkJudge = (claims: ChunkClaim[]) => Promise<void>

/** Who may come in, and with which store in hand; throws AccessError. Knows credentials or whom to ask; the face knows neither. */
export type Gate = {
  admit(request: GateRequest, purpose: Purpose): Promise<Admission>
  /** Of a form, which brings its proof among its fields; absent: no forms here. @param fields - its key is the object's */
  admitForm?(bucket: string, fields: FormFields): Promise<Admission>
}
/** `remote`: the caller's address, where there is one. */
export type GateRequest = RequestHead & { remote?: string }
/**
 * `read-object`: of the store in hand `get` alone is called. So a gate may leave it to that call to have the proof judged, and say for
 * `principal` whom it takes the caller for; nothing of it is shown.
 */
export type Purpose = 'read-object' | 'other'

export type LocalCredential = { secretKey: string; principal: Principal }
export type LocalGateOptions = {
  /** null: no such access key */
  lookup(accessKey: string): LocalCredential | null
  /** the store as this caller may use it */
  store(principal: Principal): ObjectStore
  /** what a caller without proof gets; absent: nothing */
  anonymous?: ObjectStore
  clock: () => Date
}

/** Judges proofs in this process. Signing keys of the day are kept for the last few credentials. */
export function localGate(options: LocalGateOptions): Gate {
  const keys = new Map<string, KeyObject>()
  const keyFor = (secret: string, accessKey: string, scope: Scope): KeyObject => {
    const name = `${accessKey}\n${scopeText(scope)}\n${secret}`
    const known = keys.get(name)
    if (known) return known
    const key = signingKey(secret, scope)
    // the oldest goes: callers choose regions, so the number must not grow with them
    const [oldest] = keys.keys()
    if (keys.size >= 64 && oldest !== undefined) keys.delete(oldest)
    keys.set(name, key)
    return key
  }
  return {
    async admit(request) {
      const proof = parseProof(request)
      if (!proof) {
        if (!options.anonymous) throw new AccessError('denied', 'Access Denied: requests must be signed.')
        return { principal: null, store: options.anonymous, payload: null }
      }
      const credential = options.lookup(proof.accessKey)
      if (!credential) throw new AccessError('unknown-key', 'The access key you provided is not known here.')
      const key = keyFor(credential.secretKey, proof.accessKey, proof)
      const verdict = verifyProof(proof, key, options.clock())
      if (!verdict.ok) throw new AccessError(verdict.fault, verdict.message)
      let previous = proof.signature
      return {
        principal: credential.principal,
        store: options.store(credential.principal),
        payload: proof.payload,
        chunks: {
          seed: { time: proof.time, date: proof.date, region: proof.region, signature: proof.signature },
          async judge(claims) {
            const good = chainHolds(claims, proof, previous) && claims.every(claim => verifyChunk(claim, key))
            if (!good) throw new AccessError('signature-mismatch', 'a signature inside the body does not match')
            previous = claims.at(-1)?.signature ?? previous
          },
        },
      }
    },
  }
}

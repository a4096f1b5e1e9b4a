import { hash } from 'node:crypto'
import type { Transaction } from 'kysely'
import { skewSeconds } from '../../access/proof.ts'
import { parseAmzTime } from '../../access/time.ts'
import type { RequestProof } from '../../format/request-proof.ts'
import type { KeystoreSchema } from '../database/keystore-schema.ts'

/**
 * A signed change of an ACL counts once. A store that kept the request of yesterday's grant could otherwise hand it over again after
 * today's revocation, for as long as the signature lives.
 */
export type Spending = {
  /** of the request, in bytes */
  proof: Uint8Array
  /** ms since 1970: from then on the request is too old by itself */
  until: number
}

export function spendingOf(proof: Uint8Array, { time, expiresSeconds }: RequestProof): Spending {
  const signedAt = parseAmzTime(time) ?? 0
  // a header lives as long before its time as after it
  return { proof, until: signedAt + ((expiresSeconds ?? 0) + 2 * skewSeconds) * 1000 }
}

/**
 * Marks the request as used for this change, in the transaction that makes it.
 *
 * @param about - what it changes: one request may change several things, each once
 * @returns false: it was used before
 */
export async function spend(
  change: Transaction<KeystoreSchema>,
  { proof, until }: Spending,
  about: Uint8Array,
  now: number,
): Promise<boolean> {
  await change.deleteFrom('spent').where('until', '<', now).execute()
  const request = hash('sha256', Buffer.concat([hash('sha256', proof, 'buffer'), about]), 'buffer')
  const made = await change
    .insertInto('spent')
    .values({ request, until })
    .onConflict(conflict => conflict.doNothing())
    .executeTakeFirst()
  return (made.numInsertedOrUpdatedRows ?? 0n) > 0n
}

import { hash } from 'node:crypto'
import type { Transaction } from 'kysely'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'

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

/** null: of a caller who proved himself and nothing of the request, there is nothing that could be used twice. */
export function spendingOf(proof: Uint8Array, { until }: { until: number | null }): Spending | null {
  return until === null ? null : { proof, until }
}

/**
 * Marks the request as used for this change, in the transaction that makes it.
 *
 * @param about - what it changes: one request may change several things, each once
 * @returns false: it was used before
 */
export async function spend(
  change: Transaction<KeystoreSchema>,
  spending: Spending | null,
  about: Uint8Array,
  now: number,
): Promise<boolean> {
  if (spending === null) return true
  const { proof, until } = spending
  await change.deleteFrom('spent').where('until', '<', now).execute()
  const request = hash('sha256', Buffer.concat([hash('sha256', proof, 'buffer'), about]), 'buffer')
  const made = await change
    .insertInto('spent')
    .values({ request, until })
    .onConflict(conflict => conflict.doNothing())
    .executeTakeFirst()
  return (made.numInsertedOrUpdatedRows ?? 0n) > 0n
}

import type { Change, Database, HostedSchema } from '../../database/hosted-schema.ts'
import { seeker } from '../../database/rows.ts'
import { findBucket } from '../acl/rights.ts'
import { FILES } from './address.ts'

/** Where bodies go. `inlineMax`: sealed bytes; up to so many go into the database; 0: none */
export type Placement = { store: string; inlineMax: number }

export const IN_FILES: Placement = { store: FILES, inlineMax: 0 }

const placementByBucket = seeker<HostedSchema['placements']>(
  'placements',
  ['bucket', 'store', 'inline_max'],
  ['bucket'],
)

/** Where what is written to the bucket from now on goes. */
export async function placementOf(database: Database | Change, bucket: string): Promise<Placement> {
  const row = await placementByBucket(database, bucket)
  return row === undefined ? IN_FILES : { store: row.store, inlineMax: row.inline_max }
}

/** @throws StoreError "no-bucket" */
export async function place(change: Change, bucket: string, { store, inlineMax }: Placement): Promise<void> {
  await findBucket(change, bucket)
  const row = { store, inline_max: inlineMax }
  await change
    .insertInto('placements')
    .values({ bucket, ...row })
    .onConflict(conflict => conflict.column('bucket').doUpdateSet(row))
    .execute()
}

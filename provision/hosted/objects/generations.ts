import { fulfils, type Preconditions } from '../../../access/precondition.ts'
import { type PutCondition, StoreError } from '../../../store/object-store.ts'
import type { Change, ObjectRow } from '../../database/hosted-schema.ts'

/** What must be so under a name when something is put there or taken away; judged in the transaction that does it. */
export type Terms = {
  condition?: PutCondition | undefined
  generations?: Preconditions | undefined
  version?: number | undefined
}

/** An object that has no number yet: it gets one when it becomes visible. */
export type Unnumbered = Omit<ObjectRow, 'generation' | 'metageneration'>

/** Numbers that nothing had and nothing else gets. @returns the first of `count` */
export async function takeGenerations(change: Change, count: number): Promise<number> {
  const { last } = await change
    .updateTable('sequences')
    .set(row => ({ last: row('last', '+', count) }))
    .where('name', '=', 'generation')
    .returning('last')
    .executeTakeFirstOrThrow()
  return last - count + 1
}

/** @throws StoreError "precondition-failed" | "no-version" */
export function judgeTerms(
  { condition, generations, version }: Terms,
  old: Pick<ObjectRow, 'etag' | 'generation' | 'metageneration'> | undefined,
): void {
  if (version !== undefined && version !== old?.generation)
    throw new StoreError('no-version', 'The specified version does not exist.')
  if (condition !== undefined && ('absent' in condition ? old !== undefined : old?.etag !== condition.etag))
    throw new StoreError(
      'precondition-failed',
      'absent' in condition ? 'the key is taken' : 'the object has another ETag',
    )
  if (generations !== undefined) requireGenerations(generations, old)
}

/** @throws StoreError "precondition-failed" */
export function requireGenerations(
  { generation, metageneration }: Preconditions,
  found: { generation: number; metageneration: number } | undefined,
): void {
  if (!fulfils(generation, found?.generation ?? 0) || !fulfils(metageneration, found?.metageneration ?? 0))
    throw new StoreError('precondition-failed', 'the object has another generation or metageneration')
}

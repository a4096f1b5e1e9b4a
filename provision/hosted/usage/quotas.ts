import { S3Error } from '../../../store/s3/fault.ts'
import type { Change, Database, HostedSchema } from '../../database/hosted-schema.ts'
import type { Looking } from '../../database/looking.ts'
import { seeker } from '../../database/rows.ts'
import { inOneMoment } from '../../database/shared-file.ts'
import { DIMENSIONS, PERIODS, type Quota, SCOPES, type Scope, whyNot } from './dimension.ts'

/** What may be used. All of it is in memory: operators write few, and each request asks; whether it still holds, the tables say. */
export type Quotas = {
  /** Looks whether another process has set one since, and takes that over. @param on - the transaction, within one */
  refresh(on?: Change): Promise<void>
  /** in the order given */
  of(scope: Scope, id: string): readonly Quota[]
  /** whether any is of this scope: where none is, nothing need be looked up */
  any(scope: Scope): boolean
  list(): Quota[]
  /** Replaces one of the same scope, dimension and period. @throws RangeError - there is no such quota; it says why */
  set(quota: Quota): Promise<void>
  /** @returns whether there was one */
  remove(quota: Omit<Quota, 'amount'>): Promise<boolean>
}

const NONE: readonly Quota[] = []

const sequence = seeker<HostedSchema['sequences']>('sequences', ['last'], ['name'])

export async function openQuotas(database: Database, looking: Looking): Promise<Quotas> {
  let all: Quota[] = []
  let byOwner = new Map<string, Quota[]>()
  let version = -1
  const load = (on: Database | Change): Promise<void> =>
    inOneMoment(on, async at => {
      const last = (await sequence(at, 'quotas'))?.last ?? 0
      if (last === version) return
      const rows = await at.selectFrom('quotas').selectAll().orderBy('scope').orderBy('id').execute()
      all = rows.map(quotaOf)
      byOwner = Map.groupBy(all, nameOf)
      version = last
    })
  const refresh = async (on?: Change): Promise<void> => {
    if (on !== undefined) return load(on)
    // asked at each request, and hardly ever another
    const last = await looking.atOnce(look => sequence.now(look, 'quotas')?.last ?? 0)
    if (last !== version) await load(database)
  }
  /** In the transaction that changes one. */
  const bump = (change: Change) =>
    change
      .updateTable('sequences')
      .set(row => ({ last: row('last', '+', 1) }))
      .where('name', '=', 'quotas')
      .execute()
  await refresh()
  return {
    refresh,
    of: (scope, id) => byOwner.get(nameOf({ scope, id })) ?? NONE,
    any: scope => all.some(each => each.scope === scope),
    list: () => [...all],
    async set(quota) {
      const reason = whyNot(quota)
      if (reason !== null) throw new RangeError(`quota: ${reason}`)
      await database.transaction().execute(async change => {
        await change
          .insertInto('quotas')
          .values(quota)
          .onConflict(conflict =>
            conflict.columns(['scope', 'id', 'dimension', 'period']).doUpdateSet({ amount: quota.amount }),
          )
          .execute()
        await bump(change)
      }) // commit point: from here on it holds, in every process
      await refresh()
    },
    async remove({ scope, id, dimension, period }) {
      const gone = await database.transaction().execute(async change => {
        await bump(change)
        return change
          .deleteFrom('quotas')
          .where('scope', '=', scope)
          .where('id', '=', id)
          .where('dimension', '=', dimension)
          .where('period', '=', period)
          .executeTakeFirst()
      })
      await refresh()
      return gone.numDeletedRows > 0n
    },
  }
}

function quotaOf(row: { scope: string; id: string; dimension: string; period: string; amount: number }): Quota {
  const scope = SCOPES.find(each => each === row.scope)
  const dimension = DIMENSIONS.find(each => each === row.dimension)
  const period = PERIODS.find(each => each === row.period)
  if (scope === undefined || dimension === undefined || period === undefined)
    throw new RangeError(`quota ${row.scope} ${row.dimension} ${row.period}: written by a newer version`)
  return { scope, dimension, period, id: row.id, amount: row.amount }
}

function nameOf({ scope, id }: Pick<Quota, 'scope' | 'id'>): string {
  return `${scope} ${id}`
}

/** `reads of bucket film: 1000 of 1000 a day` */
export function quotaInWords({ scope, id, dimension, period, amount }: Quota, used: number): string {
  const whose = scope === 'everybody' ? 'one user' : id === '' ? 'one address' : `${scope} ${id}`
  const each = period === 'none' ? '' : ` a ${period}`
  return `${dimension} of ${whose}: ${used} of ${amount}${each}`
}

/** @param seconds - till it is worth trying again */
export function slowDown(quota: Quota, seconds: number): S3Error {
  const what = quota.dimension === 'connections' ? 'requests at once' : 'requests a second'
  return new S3Error('SlowDown', `Please reduce your request rate: more than ${quota.amount} ${what}.`, {
    headers: [['retry-after', String(seconds)]],
  })
}

export function exceeded(quota: Quota, used: number, until: Date | null): S3Error {
  const again = until === null ? '' : `; the next ${quota.period} begins at ${until.toISOString()}`
  return new S3Error('QuotaExceeded', `The quota is used up: ${quotaInWords(quota, used)}${again}.`)
}

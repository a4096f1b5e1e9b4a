import { hash } from 'node:crypto'
import type { Kysely, Transaction } from 'kysely'
import type { Who } from '../../../access/acl/decide.ts'
import { skewSeconds } from '../../../access/proof.ts'
import { AdministrationError } from '../../../format/administration.ts'
import type { JobId } from '../../../format/bytes.ts'
import { EXPORT_ORDERS_MAX, type ExportOrder } from '../../../format/export.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import type { Accounts } from '../people/accounts.ts'
import type { Memberships } from '../people/memberships.ts'
import { newPrincipalId } from '../people/names.ts'
import type { Users } from '../people/users.ts'
import { type Spending, spend } from '../proofs/spent.ts'
import { denied } from '../refusal.ts'

type Meant = Pick<ExportOrder, 'job' | 'user' | 'bucket' | 'prefix'>

/** What principals want exported. An order gives nothing by itself: who signed it is judged whenever it is used. */
export type ExportOrders = {
  /**
   * One in force stays as it is; one that was withdrawn is in force again, if the request was not used before.
   * @throws ReleaseError "denied" - signed before it was withdrawn, or too many of the job
   */
  put(meant: Meant & Pick<ExportOrder, 'accessKey'>, by: Spending): Promise<ExportOrder>
  /** All of them that the user signed, with whichever key. */
  withdrawSigned(meant: Meant, by: Spending): Promise<void>
  /** Fault `not-found`. */
  withdraw(id: string): Promise<void>
  list(job: JobId): Promise<ExportOrder[]>
  /** Not withdrawn ones, over all jobs. */
  ofUser(user: string, bucket: string): Promise<ExportOrder[]>
  /**
   * An order and who may what by it, as of this moment.
   *
   * @param of - the job that it must be of
   * @throws ReleaseError "denied" - withdrawn, or the key that signed it, its user or account is switched off
   */
  inForce(id: string, of: { job: JobId; account: string }): Promise<{ order: ExportOrder; who: Who }>
}

export function exportOrdersOf(on: {
  database: Kysely<KeystoreSchema>
  accounts: Pick<Accounts, 'credential' | 'byId'>
  users: Pick<Users, 'byId'>
  memberships: Pick<Memberships, 'of'>
  clock: () => number
}): ExportOrders {
  const { database, accounts, users, memberships, clock } = on
  const same = (change: Transaction<KeystoreSchema>, { job, user, bucket, prefix }: Meant) =>
    change
      .selectFrom('export_orders')
      .selectAll()
      .where('job', '=', job)
      .where('user', '=', user)
      .where('bucket', '=', bucket)
      .where('prefix', '=', prefix)
  /** Requests that live no longer than this one come too late. Older notes are of requests that are too old by themselves. */
  const note = async (change: Transaction<KeystoreSchema>, about: Buffer, until: number): Promise<void> => {
    await change.deleteFrom('export_withdrawals').where('until', '<', clock()).execute()
    await change
      .insertInto('export_withdrawals')
      .values({ about, until })
      .onConflict(conflict =>
        conflict.column('about').doUpdateSet({ until }).where('export_withdrawals.until', '<', until),
      )
      .execute()
  }
  return {
    async put(meant, by) {
      const { job, user, accessKey, bucket, prefix } = meant
      const row = await database.transaction().execute(async change => {
        const about = aboutOf(meant)
        const fresh = await spend(change, by, about, clock())
        const withdrawn = await change
          .selectFrom('export_withdrawals')
          .select('until')
          .where('about', '=', about)
          .executeTakeFirst()
        // one that was held back on the way: whoever signed it has taken it back since. Signatures know seconds
        if (fresh && by.until < (withdrawn?.until ?? 0))
          throw denied('it was withdrawn by a request signed after this one')
        const there = await same(change, meant).where('access_key', '=', accessKey).executeTakeFirst()
        if (there !== undefined) {
          if (!fresh || there.withdrawn_at === null) return there
          const again = { ordered_at: clock(), withdrawn_at: null }
          await change.updateTable('export_orders').set(again).where('id', '=', there.id).execute()
          return { ...there, ...again }
        }
        const held = await change
          .selectFrom('export_orders')
          .select(each => each.fn.countAll<number>().as('found'))
          .where('job', '=', job)
          .executeTakeFirst()
        if ((held?.found ?? 0) >= EXPORT_ORDERS_MAX) throw denied(`the job has ${EXPORT_ORDERS_MAX} orders already`)
        const id = newPrincipalId()
        const made = { id, job, user, access_key: accessKey, bucket, prefix, ordered_at: clock(), withdrawn_at: null }
        await change.insertInto('export_orders').values(made).execute()
        return made
      }) // commit point: it is ordered
      return orderOf(row)
    },
    async withdrawSigned(meant, by) {
      await database.transaction().execute(async change => {
        const about = aboutOf(meant)
        if (!(await spend(change, by, about, clock()))) return
        for (const { id } of await same(change, meant).where('withdrawn_at', 'is', null).execute())
          await change.updateTable('export_orders').set({ withdrawn_at: clock() }).where('id', '=', id).execute()
        await note(change, about, by.until)
      }) // commit point: from here on nothing is exported by it
    },
    async withdraw(id) {
      await database.transaction().execute(async change => {
        const row = await change.selectFrom('export_orders').selectAll().where('id', '=', id).executeTakeFirst()
        if (row === undefined) throw new AdministrationError('not-found', `no order ${id} of an export`)
        if (row.withdrawn_at !== null) return
        await change.updateTable('export_orders').set({ withdrawn_at: clock() }).where('id', '=', id).execute()
        await note(change, aboutOf(orderOf(row)), clock() + 2 * skewSeconds * 1000)
      })
    },
    async list(job) {
      const rows = database.selectFrom('export_orders').selectAll().where('job', '=', job)
      return (await rows.orderBy('ordered_at').orderBy('id').execute()).map(orderOf)
    },
    async ofUser(user, bucket) {
      const rows = await database
        .selectFrom('export_orders')
        .selectAll()
        .where('user', '=', user)
        .where('bucket', '=', bucket)
        .where('withdrawn_at', 'is', null)
        .orderBy('ordered_at')
        .orderBy('id')
        .limit(EXPORT_ORDERS_MAX)
        .execute()
      return rows.map(orderOf)
    },
    async inForce(id, { job, account: jobAccount }) {
      const row = await database.selectFrom('export_orders').selectAll().where('id', '=', id).executeTakeFirst()
      if (row === undefined || row.job !== job) throw denied('no such order of this job')
      const order = orderOf(row)
      if (order.withdrawnAt !== null) throw denied('the order was withdrawn')
      const credential = await accounts.credential(order.accessKey)
      if (credential === null || credential.disabled || credential.user !== order.user)
        throw denied('the access key that signed the order is switched off')
      const user = await users.byId(order.user)
      const account = await accounts.byId(credential.account)
      if (user === null || user.disabled || account === null || account.disabled)
        throw denied('who signed the order is switched off')
      if (account.id !== jobAccount) throw denied('who signed the order is of another account than the job')
      const { groups, domains } = await memberships.of(user, null)
      return { order, who: { kind: 'known', id: user.id, groups, domains } }
    },
  }
}

function orderOf(row: KeystoreSchema['export_orders']): ExportOrder {
  const { id, user, bucket, prefix, access_key, ordered_at, withdrawn_at } = row
  const at = { orderedAt: ordered_at, withdrawnAt: withdrawn_at }
  return { id, job: row.job as JobId, user, accessKey: access_key, bucket, prefix, ...at }
}

/** What a signed request changes: it may be used for that once. */
function aboutOf({ job, user, bucket, prefix }: Meant): Buffer {
  return hash('sha256', JSON.stringify(['export', job, user, bucket, prefix]), 'buffer')
}

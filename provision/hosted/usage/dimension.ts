/** What is counted, and over which time: the nouns of usage and quotas. */

/** `user`: one principal. `everybody`: each principal by himself. `address`: each address that requests come from. */
export const SCOPES = ['account', 'bucket', 'user', 'everybody', 'address'] as const
export type Scope = (typeof SCOPES)[number]

/** Added up over a period. */
export const FLOWS = ['reads', 'writes', 'bytes-in', 'bytes-out'] as const
export type Flow = (typeof FLOWS)[number]
/** There at one moment: what is stored, and requests under way. */
export const LEVELS = ['stored-bytes', 'stored-objects', 'connections'] as const
export const DIMENSIONS = [...FLOWS, ...LEVELS, 'requests'] as const
export type Dimension = (typeof DIMENSIONS)[number]

/** `second`: of requests alone, as a rate. `none`: of a level. Months are of UTC. */
export const PERIODS = ['second', 'hour', 'day', 'month', 'none'] as const
export type Period = (typeof PERIODS)[number]

/** `id`: account, bucket or user; empty for `everybody` and `address`. Amounts: bytes, objects or requests. */
export type Quota = { scope: Scope; id: string; dimension: Dimension; period: Period; amount: number }

/** Why there is no such quota; null: there is. */
export function whyNot({ scope, id, dimension, period, amount }: Quota): string | null {
  const each = scope === 'everybody' || scope === 'address'
  if (each !== (id === '')) return each ? `${scope} has no id` : `${scope}: want whose`
  if (!Number.isSafeInteger(amount) || amount < 0) return 'the amount must be a whole number from 0'
  if (dimension === 'requests') {
    if (period !== 'second') return 'requests are limited per second'
    return each || scope === 'user' ? null : 'requests per second are limited for a user, everybody or an address'
  }
  if (dimension === 'connections') {
    if (period !== 'none') return 'connections have no period: they are counted while they are there'
    return each || scope === 'user' ? null : 'connections are limited for a user, everybody or an address'
  }
  if (scope === 'address') return 'of an address only requests and connections are limited'
  if (dimension === 'stored-bytes' || dimension === 'stored-objects')
    return period === 'none' ? null : `${dimension} has no period: it is what is there`
  return period === 'hour' || period === 'day' || period === 'month'
    ? null
    : `${dimension}: want per hour, day or month`
}

export const HOUR_MS = 3_600_000

/** Hours since 1970. */
export function hourOf(now: number): number {
  return Math.floor(now / HOUR_MS)
}

/** The first hour of the period that `now` lies in, and the first of the next. */
export function periodOf(period: 'hour' | 'day' | 'month', now: number): { from: number; to: number } {
  const hour = hourOf(now)
  if (period === 'hour') return { from: hour, to: hour + 1 }
  const date = new Date(now)
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()]
  if (period === 'day') return { from: hourOf(Date.UTC(year, month, day)), to: hourOf(Date.UTC(year, month, day + 1)) }
  return { from: hourOf(Date.UTC(year, month)), to: hourOf(Date.UTC(year, month + 1)) }
}

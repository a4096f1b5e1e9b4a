import { DIMENSIONS, PERIODS, type Quota, SCOPES } from './dimension.ts'

/** Quotas as people write them. Pure. */

const UNITS: Readonly<Record<string, number>> = {
  ...{ '': 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12, pb: 1e15 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40, pib: 2 ** 50 },
}

/** `account:acme`, `bucket:film`, `user:acme/anna`, `everybody`, `address`. @throws RangeError */
export function parseScope(text: string): { scope: Quota['scope']; whose: string } {
  const cut = text.indexOf(':')
  const name = cut < 0 ? text : text.slice(0, cut)
  const scope = SCOPES.find(each => each === name)
  if (scope === undefined)
    throw new RangeError(`"${text}": want account:NAME, bucket:NAME, user:NAME, everybody or address`)
  return { scope, whose: cut < 0 ? '' : text.slice(cut + 1) }
}

/** @throws RangeError */
export function parseDimension(text: string): Quota['dimension'] {
  const found = DIMENSIONS.find(each => each === text)
  if (found === undefined) throw new RangeError(`"${text}": want one of ${DIMENSIONS.join(', ')}`)
  return found
}

/** `10TB`, `512MiB`, `1000/day`, `50/second`. @throws RangeError */
export function parseAmount(text: string): Pick<Quota, 'amount' | 'period'> {
  const [size = '', per, ...more] = text.split('/')
  const period = per === undefined ? 'none' : parsePeriod(per)
  const [, digits = '', unit = ''] = /^(\d{1,15}(?:\.\d{1,3})?)([a-z]{0,3})$/i.exec(size.trim()) ?? []
  const times = UNITS[unit.toLowerCase()]
  const amount = digits === '' || times === undefined ? Number.NaN : Math.round(Number(digits) * times)
  if (!Number.isSafeInteger(amount) || more.length > 0)
    throw new RangeError(`"${text}": want an amount such as 1000, 10TB or 512MiB, and /hour, /day, /month or /second`)
  return { amount, period }
}

/** @throws RangeError */
export function parsePeriod(text: string): Quota['period'] {
  const found = PERIODS.find(each => each === text)
  if (found === undefined) throw new RangeError(`"${text}": want ${PERIODS.join(', ')}`)
  return found
}

/** `account:acme stored-bytes 10000000000` */
export function quotaLine({ scope, id, dimension, period, amount }: Quota): string {
  return `${id === '' ? scope : `${scope}:${id}`}  ${dimension}  ${amount}${period === 'none' ? '' : `/${period}`}`
}

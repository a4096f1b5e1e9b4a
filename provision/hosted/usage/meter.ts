import type { Admitted, Ended, Watch, Watched } from '../../../store/s3/watch.ts'
import type { Activity } from './activity.ts'
import { FLOWS, type Flow, type Quota } from './dimension.ts'
import { exceeded, type Quotas, slowDown } from './quotas.ts'
import { AtOnce, Rates } from './rates.ts'
import type { Tallies } from './tallies.ts'

/** Codes by which nobody was told to be who he said he is. */
const NOBODY = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'RequestTimeTooSkewed',
  'AuthorizationHeaderMalformed',
])
const SOON_SECONDS = 1

type Claim = { quota: Quota; id: string }

/**
 * Counts what goes in and out, and refuses what is more than may be: by address before anybody is asked who it is, by user, bucket and
 * account before a body is read. What is stored is judged where it is committed. @see stored.ts
 */
export function meterOf(on: {
  quotas: Quotas
  tallies: Tallies
  accountOf: (bucket: string) => Promise<string | null>
  activity: Activity | null
  clock: () => number
}): Watch {
  const { quotas, tallies, accountOf, activity, clock } = on
  const rates = new Rates()
  const under = new AtOnce()

  /** Takes what is limited by the moment; what was taken is given back by what comes out. */
  const enter = (claims: Claim[], left: (() => void)[], refund: (() => void)[]): void => {
    for (const { quota, id } of claims) {
      const name = `${quota.scope} ${id}`
      if (quota.dimension === 'connections') {
        if (!under.enter(name, quota.amount)) throw slowDown(quota, SOON_SECONDS)
        left.push(() => under.leave(name))
      }
      if (quota.dimension === 'requests') {
        const wait = rates.take(name, quota.amount, clock())
        if (wait > 0) throw slowDown(quota, wait)
        refund.push(() => rates.giveBack(name))
      }
    }
  }

  return ({ requestId, method, remote }) => {
    const started = clock()
    const left: (() => void)[] = []
    const refund: (() => void)[] = []
    let admitted: Admitted | null = null
    let claims: Claim[] = []
    let ended = false
    const leave = (): void => {
      for (const each of left.splice(0)) each()
    }
    try {
      if (remote !== null) enter(ofScope(quotas, 'address', '', remote), left, [])
    } catch (error) {
      leave()
      activity?.({ requestId, started, remote, verb: method, admitted: null, refused: 'SlowDown' })
      throw error
    }
    const watched: Watched = {
      async admit(found) {
        admitted = found
        await quotas.refresh()
        const user = found.principal?.id ?? ''
        if (user !== '') claims.push(...ofScope(quotas, 'user', user, user), ...ofScope(quotas, 'everybody', '', user))
        if (found.bucket !== null) {
          claims.push(...ofScope(quotas, 'bucket', found.bucket, found.bucket))
          const account = quotas.any('account') ? await accountOf(found.bucket) : null
          if (account !== null) claims.push(...ofScope(quotas, 'account', account, account))
        }
        enter(claims, left, refund)
        claims = claims.filter(({ quota }) => isFlow(quota))
        const wanted = wantedOf(method, found)
        for (const { quota, id } of claims) {
          const { amount, until } = await tallies.used(quota, id)
          const more = wanted[quota.dimension as Flow]
          if (more > 0 && amount + more > quota.amount) throw exceeded(quota, amount, until)
        }
      },
      end(result) {
        if (ended) return
        ended = true
        leave()
        const nobody = result.code !== null && NOBODY.has(result.code)
        if (nobody) for (const each of refund) each()
        activity?.({ requestId, started, remote, verb: admitted?.verb ?? method, admitted, ...result })
        const by = usedBy(method, result)
        const refused = by === null ? 1 : 0
        const flows = by ?? NOTHING
        tallies.add({
          bucket: admitted?.bucket ?? '',
          principal: nobody ? '' : (admitted?.principal?.id ?? ''),
          reads: flows.reads,
          writes: flows.writes,
          refused,
          bytes_in: flows['bytes-in'],
          bytes_out: flows['bytes-out'],
        })
        if (by !== null) for (const { quota, id } of claims) tallies.note(quota, id, by)
      },
    }
    return watched
  }
}

const NOTHING: Record<Flow, number> = { reads: 0, writes: 0, 'bytes-in': 0, 'bytes-out': 0 }

function ofScope(quotas: Quotas, scope: Quota['scope'], of: string, id: string): Claim[] {
  return quotas.of(scope, of).map(quota => ({ quota, id }))
}

function isFlow({ dimension }: Quota): boolean {
  return FLOWS.some(each => each === dimension)
}

/** What a request is known to want before it is served: of a read, at least a byte. */
function wantedOf(method: string, { length }: Admitted): Record<Flow, number> {
  const read = method === 'GET' || method === 'HEAD'
  const reading = { ...NOTHING, reads: 1, 'bytes-out': method === 'GET' ? 1 : 0 }
  return read
    ? reading
    : { ...NOTHING, writes: 1, 'bytes-in': method === 'PUT' || method === 'POST' ? (length ?? 1) : 0 }
}

/** null: it was refused, and costs its bucket nothing. */
function usedBy(method: string, { status, bytesIn, bytesOut }: Ended): Record<Flow, number> | null {
  if (status === 403 || status >= 500) return null
  const read = method === 'GET' || method === 'HEAD'
  return { reads: read ? 1 : 0, writes: read ? 0 : 1, 'bytes-in': bytesIn, 'bytes-out': bytesOut }
}

import { cookieNamed } from '../../../access/cookie.ts'
import type { RequestHead } from '../../../access/proof.ts'
import { type Login, LoginError } from '../../../format/login.ts'
import { header } from '../../../store/s3/message.ts'

/** Hosts where browsers may log in, as the authority says; asked for again when it is two seconds old. */
export type LoginSites = {
  /** The origin of the request's host; null: nobody logs in there. */
  originOf(request: Pick<RequestHead, 'headers'>): Promise<string | null>
}

const FRESH_MS = 2000

export function loginSitesOf(login: Pick<Login, 'origins'>, clock: () => Date): LoginSites {
  let known = new Map<string, string>()
  let askedAt = Number.NEGATIVE_INFINITY
  let asking: Promise<void> | null = null
  const ask = async (): Promise<void> => {
    try {
      const origins = await login.origins()
      known = new Map(origins.map(each => [new URL(each).host, each]))
      askedAt = clock().getTime()
    } catch (error) {
      // with the keystore away nobody gets in; pages are still kept apart as they were
      if (!(error instanceof LoginError)) throw error
    } finally {
      asking = null
    }
  }
  return {
    async originOf(request) {
      if (Math.abs(clock().getTime() - askedAt) > FRESH_MS) {
        asking ??= ask()
        await asking
      }
      return known.get((header(request, 'host') ?? '').toLowerCase()) ?? null
    },
  }
}

const LOOPBACK = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?$/
const NAMES = { session: 'sealift-session', attempt: 'sealift-login' } as const

/** `__Host-` keeps other hosts of the domain from setting it (RFC 6265bis §4.1.3); it needs TLS, which loopback may be without. */
function cookieName(kind: keyof typeof NAMES, secure: boolean): string {
  return secure ? `__Host-${NAMES[kind]}` : NAMES[kind]
}

export function cookieOf(request: Pick<RequestHead, 'headers'>, kind: keyof typeof NAMES): string | null {
  const secure = cookieNamed(request, cookieName(kind, true))
  if (secure !== null) return secure
  return LOOPBACK.test((header(request, 'host') ?? '').toLowerCase())
    ? cookieNamed(request, cookieName(kind, false))
    : null
}

/** @param seconds - 0: takes it away */
export function setCookie(kind: keyof typeof NAMES, value: string, origin: string, seconds: number): [string, string] {
  const secure = origin.startsWith('https:')
  const more = `Path=/; HttpOnly; SameSite=Lax; Max-Age=${seconds}${secure ? '; Secure' : ''}`
  return ['set-cookie', `${cookieName(kind, secure)}=${value}; ${more}`]
}

/** Who is at the other end; a proxy of this machine says for whom it asks. */
export function callerAddress(request: Pick<RequestHead, 'headers'> & { remote?: string }): string {
  const remote = request.remote ?? 'unknown'
  if (!/^(?:::ffff:)?127\.|^::1$/.test(remote)) return remote
  return header(request, 'x-forwarded-for')?.split(',').at(-1)?.trim().slice(0, 64) || remote
}

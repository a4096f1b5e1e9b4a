import { equalBytes } from '../../../format/bytes.ts'
import type { StateKey } from '../state-key.ts'
import type { LoginOrigins } from './login-origins.ts'

/** Where a browser goes after logging in: signed by us, and of an origin where browsers log in, whatever was written into it. */
export type ReturnAddresses = {
  /** @param path - with its query, as the browser asked for it; null: nobody logs in at that host */
  sign(host: string, path: string): Promise<string | null>
  /** @returns null - not signed by us, too old, or of an origin that is not on the list any more */
  open(signed: string): Promise<string | null>
}

const LIFE_MS = 60 * 60_000
const SIGNED = /^(\d{1,15})\.([A-Za-z0-9_-]{43})\.(.+)$/s

export function returnAddressesOf(on: {
  origins: Pick<LoginOrigins, 'list' | 'ofHost'>
  state: Pick<StateKey, 'mac'>
  clock: () => number
}): ReturnAddresses {
  const { origins, state, clock } = on
  const macOf = (until: string, address: string): Buffer =>
    state.mac(Buffer.from(`return address\n${until}\n${address}`, 'utf8'))
  return {
    async sign(host, path) {
      const origin = await origins.ofHost(host)
      const address = origin === null ? null : addressAt(origin, path)
      if (address === null) return null
      const until = String(clock() + LIFE_MS)
      return `${until}.${macOf(until, address).toString('base64url')}.${address}`
    },
    async open(signed) {
      const [, until = '', mac = '', address = ''] = SIGNED.exec(signed) ?? []
      if (address === '' || !equalBytes(macOf(until, address), Buffer.from(mac, 'base64url'))) return null
      if (Number(until) < clock()) return null
      // the list decides now, too: it may be shorter than it was
      const url = URL.parse(address)
      if (url === null || !(await origins.list()).includes(url.origin)) return null
      return addressAt(url.origin, address.slice(url.origin.length))
    },
  }
}

/**
 * An absolute address below the origin; what a browser would read as another host (`//evil`, `\\evil`, `https:evil`, a user before an @) is
 * a path here, behind a host that is written out. @returns null - what no request line holds
 */
export function addressAt(origin: string, path: string): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a browser drops them, so that what is left may mean something else
  if (!path.startsWith('/') || /[\u0000-\u0020\u007f-\uffff\\]/.test(path)) return null
  const url = URL.parse(`${origin}${path}`)
  return url === null || url.origin !== origin || url.username !== '' || url.hash !== '' ? null : `${origin}${path}`
}

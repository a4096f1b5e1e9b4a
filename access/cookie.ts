import type { RequestHead } from './proof.ts'

/** The value of a cookie; null: there is none, or there are several, of which nobody knows which one is ours. */
export function cookieNamed({ headers }: Pick<RequestHead, 'headers'>, name: string): string | null {
  const values: string[] = []
  for (const [header, value] of headers) {
    if (header.toLowerCase() !== 'cookie') continue
    for (const pair of value.split(';')) {
      const cut = pair.indexOf('=')
      if (cut > 0 && pair.slice(0, cut).trim() === name) values.push(pair.slice(cut + 1).trim())
    }
  }
  const [only, second] = values
  return second === undefined ? (only ?? null) : null
}

/**
 * Whether a browser says that the request was made by a page of this very host. What no browser sent says nothing, and is taken for no:
 * a cookie goes along by itself, so a request that changes something must say where it comes from.
 */
export function fromThisSite({ headers }: Pick<RequestHead, 'headers'>, host: string): boolean {
  const of = (name: string): string[] =>
    headers.filter(each => each[0].toLowerCase() === name).map(each => each[1].trim())
  const [site, secondSite] = of('sec-fetch-site')
  if (site !== undefined) return secondSite === undefined && site === 'same-origin'
  const [origin, secondOrigin] = of('origin')
  return origin !== undefined && secondOrigin === undefined && URL.parse(origin)?.host === host.toLowerCase()
}

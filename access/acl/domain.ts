const DOMAIN = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const LENGTH_MAX = 253

/** The name of a domain in lower case; null: it is none. Two labels at least (RFC 1123). */
export function domainOf(text: string): string | null {
  const domain = text.toLowerCase()
  return domain.length <= LENGTH_MAX && DOMAIN.test(domain) ? domain : null
}

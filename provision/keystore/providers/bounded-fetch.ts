/** A request to an outside service with bounds on all that it may take: of the keystore nobody else speaks to the network. */
export type FetchAsk = {
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  body?: string
}
export type Fetched = { status: number; body: Buffer }
export type Fetch = (url: string, ask?: FetchAsk) => Promise<Fetched>

const ANSWER_MAX = 256 << 10
const TIMEOUT_MS = 5000
const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost'])

/** https, or http on this very machine; no user in it. @returns null - another URL */
export function trustedUrl(text: string): URL | null {
  const url = URL.parse(text)
  if (url === null || url.username !== '' || url.password !== '' || url.hash !== '') return null
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname)) ? url : null
}

export function isLoopback(hostname: string): boolean {
  return LOOPBACK.has(hostname)
}

/**
 * Redirects are not followed: where an answer comes from was chosen by the operator.
 * @throws Error - not reachable within 5 s, a redirect, or more than 256 KiB
 */
export const fetchBounded: Fetch = async (url, ask = {}) => {
  if (trustedUrl(url) === null) throw new Error(`${url}: want https, or http on loopback`)
  const answer = await fetch(url, { ...ask, redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) })
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of answer.body ?? []) {
    size += chunk.length
    if (size > ANSWER_MAX) throw new Error(`${url}: an answer of more than ${ANSWER_MAX} bytes`)
    chunks.push(chunk)
  }
  return { status: answer.status, body: Buffer.concat(chunks) }
}

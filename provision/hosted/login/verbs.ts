import { hash } from 'node:crypto'
import { queryPairs, utf8Text } from '../../../access/canonical.ts'
import { fromThisSite } from '../../../access/cookie.ts'
import { equalBytes } from '../../../format/bytes.ts'
import { type Login, LoginError, type LoginFault, SESSION_SECONDS, type Session } from '../../../format/login.ts'
import { header, type S3Request, type S3Response } from '../../../store/s3/message.ts'
import { GUARDS, LOGIN, LOGOUT, loginPage, messagePage, SESSION, sessionPage } from './pages.ts'
import { callerAddress, cookieOf, setCookie } from './site.ts'

/** A request for one of our pages, at an origin where browsers log in. */
type Asked = { request: S3Request; login: Login; origin: string; host: string }

const FORM_MAX = 32 << 10
const ATTEMPT_SECONDS = 600
const ADDRESS_MAX = 18 << 10

const SAID: Record<LoginFault, [status: number, said: string]> = {
  off: [404, 'Nobody signs in at this host.'],
  malformed: [400, 'This sign-in was not begun in this browser, or too long ago. Please begin again.'],
  refused: [403, 'That did not work. Check the name and the password, or ask whoever runs this store.'],
  'slow-down': [429, 'There were too many attempts. Please wait a little.'],
  unavailable: [503, 'Signing in is not possible at this moment. Please try again.'],
}

/** The pages under `/.sealift/`: a bucket's name cannot begin with a dot. */
export async function loginVerb(login: Login, request: S3Request, origin: string): Promise<S3Response> {
  const asked = { request, login, origin, host: new URL(origin).host }
  const verb = VERBS[`${request.method === 'HEAD' ? 'GET' : request.method} ${request.rawPath}`]
  if (verb === undefined) return messagePage(404, 'Not here', 'There is no such page.')
  try {
    const answer = await verb(asked)
    return request.method === 'HEAD' ? { ...answer, body: null } : answer
  } catch (error) {
    if (!(error instanceof LoginError)) throw error
    const [status, said] = SAID[error.fault]
    return messagePage(status, 'Sign in', said, status === 429 || status === 503 ? [['retry-after', '30']] : [])
  }
}

const VERBS: Record<string, ((asked: Asked) => Promise<S3Response>) | undefined> = {
  async [`GET ${LOGIN}`]({ request, login }) {
    return loginPage(200, { choices: await login.choices(), back: queryOf(request).get('back') ?? '', said: null })
  },
  async [`GET ${LOGIN}/oidc`]({ request, login, origin, host }) {
    const query = queryOf(request)
    const { location, attempt } = await login.begin(host, query.get('issuer') ?? '', query.get('back') ?? '')
    return redirect(location, [setCookie('attempt', attempt, origin, ATTEMPT_SECONDS)])
  },
  async [`GET ${LOGIN}/callback`]({ request, login, origin, host }) {
    const query = queryOf(request)
    const attempt = cookieOf(request, 'attempt')
    if (attempt === null) throw new LoginError('malformed', 'no login was begun in this browser')
    const session = await login.finish(host, attempt, {
      ...{ code: query.get('code') ?? null, state: query.get('state') ?? null },
      ...{ error: query.get('error') ?? null, issuer: query.get('iss') ?? null },
    })
    return entered(session, origin)
  },
  async [`POST ${LOGIN}/password`]({ request, login, origin, host }) {
    if (!fromThisSite(request, host)) return notFromHere()
    const form = await formOf(request)
    const [issuer, back] = [form.get('issuer') ?? '', form.get('back') ?? '']
    const [username, password] = [form.get('username') ?? '', form.get('password') ?? '']
    try {
      const address = callerAddress(request)
      return entered(await login.password({ host, issuer, username, password, address, back }), origin)
    } catch (error) {
      if (!(error instanceof LoginError)) throw error
      const [status, said] = SAID[error.fault]
      const wait: [string, string][] = status === 429 || status === 503 ? [['retry-after', '30']] : []
      return loginPage(status, { choices: await login.choices(), back, said }, wait)
    }
  },
  async [`GET ${SESSION}`]({ request, login }) {
    const ticket = cookieOf(request, 'session')
    const name = ticket === null ? null : await login.whose(ticket)
    if (ticket === null || name === null) return messagePage(200, 'Signed out', 'You are not signed in.')
    return sessionPage(name, csrfOf(ticket))
  },
  async [`POST ${LOGOUT}`]({ request, login, origin, host }) {
    const ticket = cookieOf(request, 'session')
    const sent = Buffer.from((await formOf(request)).get('csrf') ?? '')
    if (ticket === null || !fromThisSite(request, host) || !equalBytes(sent, Buffer.from(csrfOf(ticket))))
      return notFromHere()
    await login.end(ticket)
    return redirect(`${origin}${SESSION}`, [setCookie('session', '', origin, 0)])
  },
}

function entered({ ticket, back }: Session, origin: string): S3Response {
  return redirect(back, [setCookie('session', ticket, origin, SESSION_SECONDS), setCookie('attempt', '', origin, 0)])
}

/** 303: whatever the browser asked with, it goes on with GET. */
function redirect(location: string, headers: [string, string][]): S3Response {
  return { status: 303, headers: [['location', location], ...GUARDS, ...headers], body: null }
}

function notFromHere(): S3Response {
  return messagePage(403, 'Not from here', 'This was not sent by a page of this store.')
}

/** Known to the page that shows it and to nobody who has not read the cookie, which no script can. */
function csrfOf(ticket: string): string {
  return hash('sha256', `sealift logout\n${ticket}`, 'base64url')
}

function queryOf({ rawQuery }: S3Request): Map<string, string> {
  const query = new Map<string, string>()
  for (const [name, value] of queryPairs(rawQuery) ?? []) {
    const [key, found] = [utf8Text(name), utf8Text(value)]
    if (key !== null && found !== null && found.length <= ADDRESS_MAX && !query.has(key)) query.set(key, found)
  }
  return query
}

async function formOf(request: S3Request): Promise<Map<string, string>> {
  if (!/^application\/x-www-form-urlencoded\b/i.test(header(request, 'content-type') ?? '')) return new Map()
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request.body) {
    size += chunk.length
    if (size > FORM_MAX) throw new LoginError('malformed', 'a form of this size is none of ours')
    chunks.push(chunk)
  }
  return queryOf({ ...request, rawQuery: Buffer.concat(chunks).toString('latin1') })
}

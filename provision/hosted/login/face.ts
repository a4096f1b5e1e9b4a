import { type Login, LoginError } from '../../../format/login.ts'
import type { Face } from '../../../store/s3/face.ts'
import { header, type S3Request, type S3Response } from '../../../store/s3/message.ts'
import { LOGIN } from './pages.ts'
import { cookieOf, type LoginSites } from './site.ts'
import { loginVerb } from './verbs.ts'

type Options = { face: Face; login: Login; sites: LoginSites; onError: (error: unknown) => void }

const OURS = '/.sealift/'

/**
 * The face with pages for logging in, at hosts where that is on; elsewhere it is the face alone. Never rejects.
 * What others stored lies under the same host as the session's cookie: nothing of it may run there as if it were ours.
 */
export function loginFace({ face, login, sites, onError }: Options): Face {
  return async request => {
    try {
      const origin = await sites.originOf(request)
      if (origin === null) return await face(request)
      if (request.rawPath.startsWith(OURS)) return await loginVerb(login, request, origin)
      const answer = await face(request)
      if (!goesToLogin(request, answer)) return apart(answer)
      return (await toLogin(login, request, origin)) ?? apart(answer)
    } catch (error) {
      onError(error)
      return { status: 500, headers: [['cache-control', 'no-store']], body: null }
    }
  }
}

/** Rule 21: a browser that came with nothing, or with a session that is over, and reads. To API clients a refusal stays one. */
function goesToLogin(request: S3Request, { status }: S3Response): boolean {
  const session = cookieOf(request, 'session') !== null
  return (
    (request.method === 'GET' || request.method === 'HEAD') &&
    status === (session ? 401 : 403) &&
    header(request, 'authorization') === undefined &&
    !/(?:^|&)(?:X-(?:Amz|Goog)-(?:Signature|Credential|Algorithm)|Signature)=/i.test(request.rawQuery) &&
    /(?:^|[\s,])text\/html\b/i.test(header(request, 'accept') ?? '')
  )
}

/** @returns null - an address that cannot be come back to, or the authority is away */
async function toLogin(login: Login, { rawPath, rawQuery }: S3Request, origin: string): Promise<S3Response | null> {
  try {
    const path = rawQuery === '' ? rawPath : `${rawPath}?${rawQuery}`
    const back = await login.offer(new URL(origin).host, path)
    if (back === null) return null
    const location = `${origin}${LOGIN}?back=${encodeURIComponent(back)}`
    return {
      status: 302,
      headers: [
        ['location', location],
        ['cache-control', 'no-store'],
        ['vary', 'accept, cookie'],
      ],
      body: null,
    }
  } catch (error) {
    if (error instanceof LoginError) return null
    throw error
  }
}

function apart(answer: S3Response): S3Response {
  return {
    ...answer,
    headers: [...answer.headers, ['content-security-policy', 'sandbox'], ['x-content-type-options', 'nosniff']],
  }
}

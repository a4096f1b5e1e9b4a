import { hash } from 'node:crypto'
import type { LoginChoice } from '../../../format/login.ts'
import type { S3Response } from '../../../store/s3/message.ts'

/** The pages for logging in: no script, nothing from elsewhere, not to be framed. */
const STYLE = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; display: grid; min-height: 100vh; place-items: center; }
main { width: min(22rem, calc(100vw - 3rem)); }
h1 { font-size: 1.4rem; margin: 0 0 1rem; }
form, .choice { display: grid; gap: .6rem; margin: 0 0 1.2rem; }
label { display: grid; gap: .2rem; font-size: .9rem; }
input, button, a.button { font: inherit; padding: .55rem .7rem; border-radius: .4rem; border: 1px solid GrayText; box-sizing: border-box; }
button, a.button { background: #14532d; border-color: #14532d; color: #fff; text-align: center; text-decoration: none; cursor: pointer; }
button:focus-visible, a.button:focus-visible, input:focus-visible { outline: 3px solid #65a30d; outline-offset: 2px; }
p[role=alert] { border-left: 4px solid #b91c1c; padding-left: .7rem; margin: 0 0 1rem; }
`

export const LOGIN = '/.sealift/login'
export const SESSION = '/.sealift/session'
export const LOGOUT = '/.sealift/logout'

type LoginPage = { choices: LoginChoice[]; back: string; said: string | null }

export function loginPage(
  status: number,
  { choices, back, said }: LoginPage,
  headers: [string, string][] = [],
): S3Response {
  const parts = choices.map(({ issuer, name, kind }) => {
    const query = `issuer=${encodeURIComponent(issuer)}&back=${encodeURIComponent(back)}`
    if (kind === 'oidc')
      return `<p class="choice"><a class="button" href="${text(`${LOGIN}/oidc?${query}`)}">Sign in with ${text(name)}</a></p>`
    return `<form method="post" action="${LOGIN}/password">
<input type="hidden" name="issuer" value="${text(issuer)}"><input type="hidden" name="back" value="${text(back)}">
<label>Name at ${text(name)} <input name="username" autocomplete="username" autocapitalize="none" required maxlength="256"></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required maxlength="1024"></label>
<button>Sign in</button></form>`
  })
  const alert = said === null ? '' : `<p role="alert">${text(said)}</p>`
  const none = parts.length === 0 ? '<p>There is no way to sign in here yet.</p>' : ''
  return page(status, 'Sign in', `${alert}${none}${parts.join('\n')}`, headers)
}

/** @param csrf - shown to whoever has the session, and to nobody else */
export function sessionPage(name: string, csrf: string): S3Response {
  return page(
    200,
    'Signed in',
    `<p>You are signed in as <b>${text(name)}</b>.</p>
<form method="post" action="${LOGOUT}"><input type="hidden" name="csrf" value="${text(csrf)}"><button>Sign out</button></form>`,
  )
}

export function messagePage(status: number, title: string, said: string, headers: [string, string][] = []): S3Response {
  return page(status, title, `<p>${text(said)}</p><p><a href="${LOGIN}">Sign in</a></p>`, headers)
}

function page(status: number, title: string, body: string, headers: [string, string][] = []): S3Response {
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(title)}</title><style>${STYLE}</style></head>
<body><main><h1>${text(title)}</h1>
${body}
</main></body></html>
`
  const style = `'sha256-${hash('sha256', STYLE, 'base64')}'`
  const policy = `default-src 'none'; style-src ${style}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`
  return {
    status,
    headers: [['content-type', 'text/html; charset=utf-8'], ['content-security-policy', policy], ...GUARDS, ...headers],
    body: Buffer.from(html, 'utf8'),
  }
}

/** Of every answer here. `same-origin`: with no referrer at all browsers do not say either where a form comes from. */
export const GUARDS: [string, string][] = [
  ['cache-control', 'no-store'],
  ['x-content-type-options', 'nosniff'],
  ['referrer-policy', 'same-origin'],
  ['cross-origin-opener-policy', 'same-origin'],
]

function text(plain: string): string {
  return plain.replace(/[&<>"']/g, each => `&#${each.charCodeAt(0)};`)
}

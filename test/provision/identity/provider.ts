/** A real OpenID provider (the package oidc-provider), with one client, that asks for a name and any password. */
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair } from 'jose'

export const CLIENT = { id: 'sealift', secret: 'a client secret of some length+/=' }

/** As far as we use it: the package brings no types. */
type ProviderModule = { Provider: new (issuer: string, settings: object) => { callback(): RequestListener } }

export type RealProvider = { url: string; close(): Promise<void> }

/** @param redirectUri - where our login is called back */
export async function openProvider(redirectUri: string): Promise<RealProvider> {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  const key = { ...(await exportJWK(privateKey)), use: 'sig', kid: 'r1', alg: 'RS256' }
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const name: string = 'oidc-provider'
  const { Provider }: ProviderModule = await import(name)
  const provider = new Provider(url, {
    clients: [
      {
        ...{ client_id: CLIENT.id, client_secret: CLIENT.secret, redirect_uris: [redirectUri] },
        ...{ grant_types: ['authorization_code'], response_types: ['code'] },
      },
    ],
    jwks: { keys: [key] },
    cookies: { keys: ['cookies of a test'] },
    conformIdTokenClaims: false,
    claims: { openid: ['sub', 'groups'], email: ['email', 'email_verified'], profile: ['hd'] },
    findAccount: (_: unknown, id: string) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        groups: ['staff'],
        email: `${id}@anna.example`,
        email_verified: true,
        hd: 'anna.example',
      }),
    }),
  })
  server.on('request', provider.callback())
  return {
    url,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** A browser without a screen: follows redirects, keeps cookies by host, sends forms. */
export function openBrowser() {
  const jar = new Map<string, Map<string, string>>()
  const cookies = (url: URL): string =>
    [...(jar.get(url.host) ?? [])].map(([name, value]) => `${name}=${value}`).join('; ')
  const once = async (url: URL, form?: Record<string, string>) => {
    const body = form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) }
    const headers = { accept: 'text/html', cookie: cookies(url), origin: url.origin }
    const answer = await fetch(url, { ...body, headers, redirect: 'manual' })
    for (const each of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(each) ?? []
      const kept = jar.get(url.host) ?? new Map<string, string>()
      jar.set(url.host, kept)
      if (/max-age=0|expires=Thu, 01 Jan 1970/i.test(each)) kept.delete(name)
      else kept.set(name, value)
    }
    return answer
  }
  return {
    /** @returns the page that it ends at */
    async visit(address: string, form?: Record<string, string>): Promise<{ url: URL; status: number; text: string }> {
      let url = new URL(address)
      let answer = await once(url, form)
      for (let hops = 0; answer.status >= 300 && answer.status < 400 && hops < 12; hops++) {
        url = new URL(answer.headers.get('location') ?? '', url)
        answer = await once(url)
      }
      return { url, status: answer.status, text: await answer.text() }
    },
    cookies: (host: string) => jar.get(host) ?? new Map<string, string>(),
    set: (host: string, name: string, value: string) => jar.set(host, new Map(jar.get(host)).set(name, value)),
  }
}

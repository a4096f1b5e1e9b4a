/** An OpenID provider as far as the keystore asks one: its document, its keys; and tokens of any kind, good and bad. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, type GenerateKeyPairResult, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import type { IssuerSettings } from '../../../format/identity.ts'

export type TestIssuer = {
  url: string
  key: GenerateKeyPairResult
  /** seconds since 1970 */
  now: () => number
  /** what the two addresses answer with; may be changed */
  document: Record<string, unknown>
  keys: object[]
  /** how often each path was asked for */
  asked: Map<string, number>
  settings(changes?: Partial<IssuerSettings>): IssuerSettings
  token(
    claims?: JWTPayload,
    header?: { alg?: string; kid?: string; typ?: string },
    key?: TestIssuer['key']['privateKey'],
    without?: string[],
  ): Promise<string>
  close(): Promise<void>
}

export const AUDIENCE = 'https://store.example'

export async function openIssuer(now: () => number): Promise<TestIssuer> {
  const key = await generateKeyPair('RS256')
  const asked = new Map<string, number>()
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    asked.set(path, (asked.get(path) ?? 0) + 1)
    const answer =
      path === '/.well-known/openid-configuration' ? issuer.document : path === '/jwks' ? { keys: issuer.keys } : null
    response.writeHead(answer === null ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const issuer: TestIssuer = {
    url,
    key,
    now,
    document: { issuer: url, jwks_uri: `${url}/jwks` },
    keys: [{ ...(await exportJWK(key.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' }],
    asked,
    settings: changes => ({
      ...{ name: 'corp', kind: 'oidc', url, account: 'anna', audiences: [AUDIENCE], algorithms: ['RS256', 'ES256'] },
      ...{ groupsClaim: 'groups', groups: [], domainClaim: 'none', skewSeconds: 30, provision: true },
      ...{ aclWritesByBearer: false, clientId: null },
      ...changes,
    }),
    token(claims = {}, { alg = 'RS256', kid = 'k1', typ = 'at+jwt' } = {}, signer = key.privateKey, without = []) {
      const at = now()
      const full: JWTPayload = { iss: url, aud: AUDIENCE, sub: 'somebody', iat: at, exp: at + 300, ...claims }
      for (const claim of without) delete full[claim]
      return new SignJWT(full).setProtectedHeader({ alg, kid, typ }).sign(signer)
    },
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
  return issuer
}

/**
 * A password service (docs/password-service.md) in front of an LDAP directory: an example to start from, and what `npm run check:identity`
 * puts between a provider and a real slapd. It looks a person up by name and then binds as the person: the password is the directory's to judge.
 */
import { timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { AndFilter, Client, EqualityFilter, InvalidCredentialsError } from 'ldapts'

export type LdapServiceOptions = {
  /** ldaps:// but on loopback */
  ldapUrl: string
  peopleBase: string
  groupsBase: string
  /** what the keystore shows, so that nobody else can try passwords here */
  sharedSecret: string
  onError: (error: unknown) => void
}

const BODY_MAX = 8192
const TIMEOUT_MS = 4000

export async function openLdapService(options: LdapServiceOptions): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const answer = async (): Promise<[status: number, body: object]> => {
      if (!isKeystore(request, options.sharedSecret)) return [403, {}]
      const { username, password } = await bodyOf(request)
      const person = await personOf(options, username, password)
      return person === null ? [401, {}] : [200, person]
    }
    answer()
      // what went wrong is for the log: an error holds no password
      .catch((error): [number, object] => {
        options.onError(error)
        return [503, {}]
      })
      .then(([status, body]) => {
        response.writeHead(status, { 'content-type': 'application/json' })
        response.end(JSON.stringify(body))
      })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/check`,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** @returns null - no such person, or another password: told apart nowhere */
async function personOf(
  { ldapUrl, peopleBase, groupsBase }: LdapServiceOptions,
  username: string,
  password: string,
): Promise<object | null> {
  // a bind with a name and no password succeeds in many directories and proves nothing: RFC 4513 §5.1.2
  if (username === '' || password === '') return null
  const client = new Client({ url: ldapUrl, timeout: TIMEOUT_MS, connectTimeout: TIMEOUT_MS })
  try {
    // filters are built, not written: a name with a star or a bracket in it is a name
    const filter = new AndFilter({
      filters: [
        new EqualityFilter({ attribute: 'objectClass', value: 'inetOrgPerson' }),
        new EqualityFilter({ attribute: 'uid', value: username }),
      ],
    })
    const { searchEntries } = await client.search(peopleBase, {
      scope: 'sub',
      filter,
      attributes: ['uid', 'cn', 'mail'],
      sizeLimit: 2,
    })
    const [person, second] = searchEntries
    if (person === undefined || second !== undefined) return null
    await client.bind(person.dn, password)
    const groups = await client.search(groupsBase, {
      filter: new EqualityFilter({ attribute: 'member', value: person.dn }),
      attributes: ['cn'],
    })
    return {
      ...{ subject: person.dn, name: String(person.cn), email: String(person.mail) },
      groups: groups.searchEntries.map(each => String(each.cn)),
    }
  } catch (error) {
    if (error instanceof InvalidCredentialsError) return null
    throw error
  } finally {
    await client.unbind()
  }
}

function isKeystore(request: IncomingMessage, sharedSecret: string): boolean {
  const [wanted, given] = [Buffer.from(`Bearer ${sharedSecret}`), Buffer.from(request.headers.authorization ?? '')]
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

async function bodyOf(request: IncomingMessage): Promise<{ username: string; password: string }> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > BODY_MAX) throw new Error('a body of this size is no name and password')
    chunks.push(chunk)
  }
  const { username, password } = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  if (typeof username !== 'string' || typeof password !== 'string') throw new Error('want username and password')
  return { username, password }
}

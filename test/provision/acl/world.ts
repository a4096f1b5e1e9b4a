/** A hosted store and the true authority behind it, in this process, with users of accounts who sign what they ask. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { payloadDigest, signRequest } from '../../../access/sign.ts'
import type { Administration } from '../../../format/administration.ts'
import { type Hosted, openHosted } from '../../../provision/hosted/serve.ts'
import { collect } from '../../store/contract/bodies.ts'
import { type AuthorityFixture, authorityFixture } from '../keystore/authority-fixture.ts'

export type Someone = { id: string; accessKey: string; secretKey: string }
export type Answer = { status: number; code: string; text: string; headers: Map<string, string> }
export type World = {
  fixture: AuthorityFixture
  hosted: Hosted
  /** the store's */
  directory: string
  administration: Administration
  /** users of three accounts: anna and bert are their accounts' own, carl is a further user of anna's account */
  anna: Someone
  bert: Someone
  carl: Someone
  /** `METHOD /path?query`; null: anonymous */
  ask(who: Someone | null, line: string, headers?: Record<string, string>, body?: string): Promise<Answer>
  /** as `ask`, which must end in success */
  good(who: Someone | null, line: string, headers?: Record<string, string>, body?: string): Promise<Answer>
  /** a new bucket of anna's, or of whom is given */
  bucket(who?: Someone, headers?: Record<string, string>): Promise<string>
  /** The store again, on the same files. */
  restart(decision?: { readersSeeAcl: boolean }): Promise<void>
  remove(): Promise<void>
}

export async function openWorld(
  decision: { readersSeeAcl: boolean } = { readersSeeAcl: false },
  log?: { keys: boolean },
): Promise<World> {
  const fixture = await authorityFixture(decision)
  const directory = mkdtempSync(join(tmpdir(), 'sealift-acl-'))
  const clock = () => new Date(fixture.clock.now)
  const config = {
    ...decision,
    ...(log && { log: { path: join(directory, 'activity.log'), ...log } }),
    directory,
    region: 'r1',
    clock,
    onError: (error: unknown) => process.stderr.write(`${error}\n`),
  }
  const { administration } = fixture.authority
  const someone = async (user: string, id: string): Promise<Someone> => {
    const { accessKey, secret } = await administration.createAccessKey(user, '')
    return { id, accessKey, secretKey: secret }
  }
  const anna = await someone('anna', (await administration.createAccount('anna')).id)
  const bert = await someone('bert', (await administration.createAccount('bert')).id)
  const carl = await someone('anna/carl', (await administration.createUser('anna', 'carl', 'carl@anna.example')).id)
  let buckets = 0
  const world: World = {
    fixture,
    hosted: await openHosted(config, fixture.authority.release, fixture.authority.login),
    directory,
    administration,
    anna,
    bert,
    carl,
    async ask(who, line, headers = {}, body = '') {
      const [method = '', url = ''] = line.split(' ')
      const [rawPath = '', rawQuery = ''] = url.split('?')
      const bytes = Buffer.from(body)
      const sent = {
        host: 'localhost',
        ...((method === 'PUT' || method === 'POST') && { 'content-length': `${bytes.length}` }),
        ...headers,
      }
      const head = { method, rawPath, rawQuery, headers: Object.entries(sent) }
      const options = { region: 'r1', time: clock(), payload: headers['x-amz-content-sha256'] ?? payloadDigest(bytes) }
      const signed = who === null ? head : signRequest(head, who, options)
      async function* stream() {
        yield bytes
      }
      const answer = await world.hosted.face({ ...signed, body: stream(), remote: '192.0.2.1' })
      const text = await textOf(answer.body)
      const code = /<Code>(\w+)</.exec(text)?.[1] ?? ''
      return { status: answer.status, code, text, headers: new Map(answer.headers) }
    },
    async good(...asked) {
      const answer = await world.ask(...asked)
      if (answer.status >= 300) throw new Error(`${asked[1]}: ${answer.status} ${answer.text}`)
      return answer
    },
    async bucket(who = anna, headers = {}) {
      const name = `bucket-${++buckets}`
      await world.good(who, `PUT /${name}`, headers)
      return name
    },
    async restart(again = decision) {
      await world.hosted.close()
      world.hosted = await openHosted({ ...config, ...again }, fixture.authority.release, fixture.authority.login)
    },
    async remove() {
      await world.hosted.close()
      await fixture.remove()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  return world
}

async function textOf(body: Uint8Array | AsyncIterable<Uint8Array> | null): Promise<string> {
  if (body === null) return ''
  return Buffer.from(body instanceof Uint8Array ? body : await collect(body)).toString('utf8')
}

/** Grants in an answer to ?acl, as `whom=PERMISSION`, in their order. */
export function grantsIn({ text }: Answer): string {
  return [...text.matchAll(/<Grant><Grantee[^>]*>(.*?)<\/Grantee><Permission>(\w+)</g)]
    .map(([, grantee = '', permission]) => {
      const whom = /<ID>([^<]*)</.exec(grantee)?.[1] ?? /<URI>.*[/:]([^<]*)</.exec(grantee)?.[1]
      return `${whom}=${permission}`
    })
    .join(' ')
}

/** An AccessControlPolicy of grants given as `whom=PERMISSION`; whom: an id, or @address. */
export function policy(grants: string[], owner = ''): string {
  const list = grants.map(grant => {
    const [whom = '', permission] = grant.split('=')
    const [type, inner] = whom.startsWith('@')
      ? ['AmazonCustomerByEmail', `<EmailAddress>${whom.slice(1)}</EmailAddress>`]
      : whom.startsWith('http') || whom.startsWith('urn')
        ? ['Group', `<URI>${whom}</URI>`]
        : ['CanonicalUser', `<ID>${whom}</ID>`]
    return `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="${type}">${inner}</Grantee><Permission>${permission}</Permission></Grant>`
  })
  const own = owner === '' ? '' : `<Owner><ID>${owner}</ID></Owner>`
  return `<AccessControlPolicy>${own}<AccessControlList>${list.join('')}</AccessControlList></AccessControlPolicy>`
}

/** An AccessControlList of entries given as `ScopeType value=ROLE`. */
export function roles(entries: string[]): string {
  const fields: Record<string, string> = { Id: 'ID', Email: 'EmailAddress', Domain: 'Domain' }
  const list = entries.map(entry => {
    const [scope = '', role] = entry.split('=')
    const [type = '', value] = scope.split(' ')
    const field = fields[/(Id|Email|Domain)$/.exec(type)?.[1] ?? '']
    const inner = field === undefined ? '' : `<${field}>${value}</${field}>`
    return `<Entry><Scope type="${type}">${inner}</Scope><Permission>${role}</Permission></Entry>`
  })
  return `<AccessControlList><Entries>${list.join('')}</Entries></AccessControlList>`
}

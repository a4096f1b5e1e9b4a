import { z } from 'zod'
import type { Administration } from '../../format/administration.ts'
import { MEMBER_KINDS } from '../../format/directory.ts'
import type { Hosted } from '../hosted/serve.ts'
import { DIMENSIONS, PERIODS, SCOPES } from '../hosted/usage/dimension.ts'

/** What the administration of a provider stands on: the keystore's, and the store's own. */
export type AdminDesk = { administration: Administration } & Pick<Hosted, 'usage' | 'dataStores'>

/** One route: `{name}` in its path is a parameter. What it answers is JSON; a list is paged. */
export type Route = {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  path: string
  summary: string
  body: z.ZodType | null
  answer: z.ZodType
  kind: 'one' | 'list'
  perform(desk: AdminDesk, parameters: Record<string, string>, body: unknown): Promise<unknown>
}

const name = z.string().min(1).max(128)
const email = z.string().max(320).nullable().default(null)
const time = z.number().int()
const done = z.strictObject({ done: z.literal(true) })
const account = z.strictObject({ id: name, name, createdAt: time, disabled: z.boolean() })
const user = account.extend({ account: name, email: z.string().nullable() })
const group = user.omit({ disabled: true })
const member = z.strictObject({ kind: z.enum(MEMBER_KINDS), id: name, name })
const named = z.strictObject({ name })
const withEmail = named.extend({ email })
const accessKeyRequest = z.strictObject({ user: z.string().min(1).max(260), name: z.string().max(128).default('') })
const quotaKey = z.strictObject({
  scope: z.enum(SCOPES),
  id: z.string().max(256),
  dimension: z.enum(DIMENSIONS),
  period: z.enum(PERIODS),
})
const quota = quotaKey.extend({ amount: z.number().int().min(0) })
const kind = z.enum(MEMBER_KINDS)

/** A route whose body is read by its own schema before it is performed. */
function route<Body extends z.ZodType>(
  line: string,
  summary: string,
  given: { body?: Body; answer: z.ZodType; kind?: 'list' },
  perform: (desk: AdminDesk, parameters: (name: string) => string, body: z.infer<Body>) => Promise<unknown>,
): Route {
  const [method, path = ''] = line.split(' ')
  const { body, answer, kind: of = 'one' } = given
  return {
    method: z.enum(['GET', 'POST', 'PUT', 'DELETE']).parse(method),
    path,
    summary,
    body: body ?? null,
    answer,
    kind: of,
    perform(desk, parameters, value) {
      const read = body === undefined ? (undefined as z.infer<Body>) : body.parse(value)
      return perform(desk, each => parameters[each] ?? '', read)
    },
  }
}

async function noted(work: Promise<void>): Promise<{ done: true }> {
  await work
  return { done: true }
}

const list = (answer: z.ZodType) => ({ answer, kind: 'list' as const })

/** All but usage, which is a stream. Nothing is decided here: the keystore and the store say who may be and what holds. */
export function adminRoutes(): Route[] {
  return [
    route('GET /v1/accounts', 'all accounts', list(account), on => on.administration.listAccounts()),
    route('POST /v1/accounts', 'make an account', { body: named, answer: account }, (on, _, body) =>
      on.administration.createAccount(body.name),
    ),
    route('POST /v1/accounts/{account}/disable', 'its keys sign nothing any more', { answer: done }, (on, of) =>
      noted(on.administration.disableAccount(of('account'))),
    ),
    route('GET /v1/accounts/{account}/users', 'users of an account', list(user), (on, of) =>
      on.administration.listUsers(of('account')),
    ),
    route('POST /v1/accounts/{account}/users', 'make a user', { body: withEmail, answer: user }, (on, of, body) =>
      on.administration.createUser(of('account'), body.name, body.email),
    ),
    route('POST /v1/users/{user}/disable', 'the user signs nothing any more', { answer: done }, (on, of) =>
      noted(on.administration.disableUser(of('user'))),
    ),
    route(
      'POST /v1/access-keys',
      'make an access key; its secret is told this once',
      { body: accessKeyRequest, answer: z.strictObject({ accessKey: name, secret: name, account: name, user: name }) },
      (on, _, body) => on.administration.createAccessKey(body.user, body.name),
    ),
    route('POST /v1/access-keys/{key}/disable', 'from the next request on', { answer: done }, (on, of) =>
      noted(on.administration.disableAccessKey(of('key'))),
    ),
    route('GET /v1/accounts/{account}/groups', 'groups of an account', list(group), (on, of) =>
      on.administration.listGroups(of('account')),
    ),
    route('POST /v1/accounts/{account}/groups', 'make a group', { body: withEmail, answer: group }, (on, of, body) =>
      on.administration.createGroup(of('account'), body.name, body.email),
    ),
    route('GET /v1/groups/{group}/members', 'members of a group', list(member), async (on, of) => {
      const { members } = await on.administration.showGroup(of('group'))
      return members
    }),
    route('DELETE /v1/groups/{group}', 'ACLs that name it give nobody anything by it', { answer: done }, (on, of) =>
      noted(on.administration.deleteGroup(of('group'))),
    ),
    route('PUT /v1/groups/{group}/members/{kind}/{member}', 'a member comes in', { answer: done }, (on, of) =>
      noted(on.administration.addMember(of('group'), kind.parse(of('kind')), of('member'))),
    ),
    route('DELETE /v1/groups/{group}/members/{kind}/{member}', 'a member goes', { answer: done }, (on, of) =>
      noted(on.administration.removeMember(of('group'), kind.parse(of('kind')), of('member'))),
    ),
    route('PUT /v1/accounts/{account}/domains/{domain}', 'a verified domain', { answer: done }, (on, of) =>
      noted(on.administration.addDomain(of('account'), of('domain'))),
    ),
    route('DELETE /v1/accounts/{account}/domains/{domain}', 'nobody belongs to it', { answer: done }, (on, of) =>
      noted(on.administration.removeDomain(of('account'), of('domain'))),
    ),
    route('GET /v1/quotas', 'all quotas', list(quota), async on => {
      await on.usage.quotas.refresh()
      return on.usage.quotas.list()
    }),
    route('PUT /v1/quotas', 'set a quota, or replace it', { body: quota, answer: quota }, async (on, _, body) => {
      await on.usage.quotas.set(body)
      return body
    }),
    route(
      'DELETE /v1/quotas',
      'take a quota away',
      { body: quotaKey, answer: z.strictObject({ removed: z.boolean() }) },
      async (on, _, body) => ({ removed: await on.usage.quotas.remove(body) }),
    ),
  ]
}

/** The description of all routes, OpenAPI 3.1. */
export function openApi(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {}
  const json = (schema: object) => ({ content: { 'application/json': { schema } } })
  const schemaOf = (of: z.ZodType, io: 'input' | 'output') => z.toJSONSchema(of, { io })
  for (const { method, path, summary, body, answer, kind } of routes) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      ...{ name, in: 'path', required: true, schema: { type: 'string' } },
    }))
    const paging = ['cursor', 'limit'].map(name => ({ name, in: 'query', schema: { type: 'string' } }))
    const items = { type: 'array', items: schemaOf(answer, 'output') }
    const page = { type: 'object', properties: { items, next: { type: ['string', 'null'] } } }
    const at = paths[path] ?? {}
    paths[path] = at
    at[method.toLowerCase()] = {
      summary,
      parameters: [...inPath, ...(kind === 'list' ? paging : [])],
      ...(body !== null && { requestBody: { required: true, ...json(schemaOf(body, 'input')) } }),
      responses: {
        200: { description: 'done', ...json(kind === 'list' ? page : schemaOf(answer, 'output')) },
        default: { description: 'refused', content: { 'application/problem+json': {} } },
      },
    }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Sealift provider', version: '1' },
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    security: [{ token: [] }],
    paths,
  }
}

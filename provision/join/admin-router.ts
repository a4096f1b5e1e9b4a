import type { Route } from './admin-routes.ts'

/** What is wrong with a request to the administration itself. */
export class AdminError extends Error {
  override readonly name = 'AdminError'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Finds a route by method and path; parameters come decoded. @throws AdminError 404 | 405 | 400 */
export function routerOf(routes: readonly Route[]) {
  const patterns = routes.map(route => ({ route, parts: route.path.split('/') }))
  return (method: string, path: string): { route: Route; parameters: Record<string, string> } => {
    const given = path.split('/')
    const fitting = patterns.filter(
      ({ parts }) =>
        parts.length === given.length && parts.every((part, at) => part.startsWith('{') || part === given[at]),
    )
    if (fitting.length === 0) throw new AdminError(404, `there is no ${path} here`)
    const found = fitting.find(({ route }) => route.method === method)
    if (found === undefined) throw new AdminError(405, `there is no ${method} of ${path}`)
    const parameters = found.parts.flatMap((part, at): [string, string][] =>
      part.startsWith('{') ? [[part.slice(1, -1), decoded(given[at] ?? '')]] : [],
    )
    return { route: found.route, parameters: Object.fromEntries(parameters) }
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new AdminError(400, 'the path is not percent-encoded UTF-8')
  }
}

const PAGE = 100
const PAGE_MAX = 1000

/** A page in the order of the items' ids: what is added or goes meanwhile moves no other. @throws AdminError 400 */
export function readPage(all: unknown, query: URLSearchParams): { items: unknown[]; next: string | null } {
  const limit = Number(query.get('limit') ?? PAGE)
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX)
    throw new AdminError(400, `limit: want 1 to ${PAGE_MAX}`)
  const after = Buffer.from(query.get('cursor') ?? '', 'base64url').toString('utf8')
  const items = (all as object[]).map(item => ({ item, id: idOf(item) })).sort((a, b) => (a.id < b.id ? -1 : 1))
  const rest = items.filter(({ id }) => after === '' || id > after)
  const page = rest.slice(0, limit)
  const last = rest.length > limit ? page.at(-1) : undefined
  return { items: page.map(({ item }) => item), next: last ? Buffer.from(last.id).toString('base64url') : null }
}

/** Quotas have no id, but no two have the same of these. */
function idOf(item: object): string {
  return ['id', 'kind', 'scope', 'dimension', 'period'].map(name => String(Reflect.get(item, name) ?? '')).join(' ')
}

import type { World } from '../acl/world.ts'

export type Reply = { status: number; code: string; message: string; text: string; headers: Map<string, string> }

/** A request of the world's store with these headers and nothing signed. */
export async function askPlain(world: World, line: string, headers: Record<string, string>, body = ''): Promise<Reply> {
  const [method = '', url = ''] = line.split(' ')
  const [rawPath = '', rawQuery = ''] = url.split('?')
  const bytes = Buffer.from(body)
  const sent = { host: 'localhost', ...(method === 'PUT' && { 'content-length': `${bytes.length}` }), ...headers }
  async function* stream() {
    yield bytes
  }
  const request = { method, rawPath, rawQuery, headers: Object.entries(sent), body: stream(), remote: '127.0.0.1' }
  const answer = await world.hosted.face(request)
  const chunks: Uint8Array[] = []
  if (answer.body instanceof Uint8Array) chunks.push(answer.body)
  else if (answer.body !== null) for await (const chunk of answer.body) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString('utf8')
  const field = (name: string): string => new RegExp(`<${name}>([^<]*)<`).exec(text)?.[1] ?? ''
  return {
    status: answer.status,
    code: field('Code'),
    message: field('Message'),
    text,
    headers: new Map(answer.headers),
  }
}

export const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })

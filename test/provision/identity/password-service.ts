/** A password service as docs/password-service.md describes one. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export type PasswordService = {
  url: string
  /** what it was asked, without the password */
  asked: { username: string; authorization: string | undefined }[]
  /** what it answers to whom: the body, or a status */
  people: Map<string, { password: string; answer: object | string }>
  status: number | null
  close(): Promise<void>
}

export async function openPasswordService(): Promise<PasswordService> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { username, password } = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    service.asked.push({ username, authorization: request.headers.authorization })
    const person = service.people.get(username)
    const good = person !== undefined && person.password === password
    response.writeHead(service.status ?? (good ? 200 : 401), { 'content-type': 'application/json' })
    response.end(!good ? '{}' : typeof person.answer === 'string' ? person.answer : JSON.stringify(person.answer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const service: PasswordService = {
    url: `http://127.0.0.1:${port}/check`,
    asked: [],
    people: new Map(),
    status: null,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
  return service
}

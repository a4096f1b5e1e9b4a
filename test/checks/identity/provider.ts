/** A provider as processes of its own, with an account, a group and an object that the group alone may read. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { payloadDigest, signRequest } from '../../../access/sign.ts'
import { policy, type Someone } from '../../provision/acl/world.ts'
import { ask, serve } from '../../quickstart/commands.ts'

type Ready = { roles: { name: string; address: string }[] }

export type RunningProvider = {
  address: string
  /** an object that members of `acme/staff` may read */
  path: string
  content: string
  /** the account's own user */
  owner: Someone
  /** a command of `sealift-provider` */
  command(...args: string[]): Promise<unknown>
  /** a request of the account's own user */
  signed(method: string, path: string, body?: string, headers?: Record<string, string>): Promise<number>
  close(): Promise<void>
}

export async function openRunningProvider(content: string): Promise<RunningProvider> {
  const state = mkdtempSync(join(tmpdir(), 'sealift-identity-'))
  const command = (...args: string[]) =>
    ask<Record<string, string>>('sealift-provider', ['--state', join(state, 'p'), ...args])
  await command('init')
  const service = await serve<Ready>('sealift-provider', [
    '--state',
    join(state, 'p'),
    'serve',
    '--listen',
    '127.0.0.1:0',
  ])
  const address = service.ready.roles.find(role => role.name === 'hosted')?.address ?? ''
  const { id = '' } = await command('account', 'create', 'acme')
  const { id: group = '' } = await command('group', 'create', 'acme', 'staff')
  const { accessKey = '', secret = '' } = await command('access-key', 'create', 'acme')
  await command('login-origin', 'add', address)
  const provider: RunningProvider = {
    ...{ address, path: '/private/page.html', content, command },
    owner: { id, accessKey, secretKey: secret },
    async signed(method, path, body = '', headers = {}) {
      const [rawPath = '', rawQuery = ''] = path.split('?')
      const head = { method, rawPath, rawQuery, headers: Object.entries({ host: new URL(address).host, ...headers }) }
      const options = { region: 'us-east-1', time: new Date(), payload: payloadDigest(Buffer.from(body)) }
      const signed = signRequest(head, { accessKey, secretKey: secret }, options)
      const sent = Object.fromEntries(signed.headers.filter(([name]) => name !== 'host'))
      const answer = await fetch(`${address}${path}`, { method, headers: sent, ...(method === 'PUT' && { body }) })
      await answer.arrayBuffer()
      return answer.status
    },
    async close() {
      await service.stop()
      rmSync(state, { recursive: true, force: true })
    },
  }
  const { signed, path } = provider
  const made = [
    await signed('PUT', '/private'),
    await signed('PUT', path, content, { 'content-type': 'text/html' }),
    await signed('PUT', `${path}?acl`, policy([`urn:x-storage:group:${group}=READ`])),
  ]
  if (made.every(status => status === 200)) return provider
  await provider.close()
  throw new Error(`the object could not be made: ${made.join(', ')}`)
}

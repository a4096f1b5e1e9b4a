/** A provider in several processes: one with the keystore and the operators' sockets, further ones with the hosted store alone. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Credentials } from '../../../access/sign.ts'
import { ask, type Service, serve } from '../../quickstart/commands.ts'
import { type S3Client, s3Client } from '../../s3-client.ts'

type Ready = { roles: { name: string; address: string }[] }
export type Someone = Credentials & { id: string }
export type HostedProcess = { service: Service<Ready>; url: string }

export type ProviderProcesses = {
  state: string
  hosted: HostedProcess[]
  provider<T>(...args: string[]): Promise<T>
  /** a further hosted process, or one in place of another */
  start(at: number): Promise<void>
  /** an account of that name and a key of its own user */
  account(name: string): Promise<Someone>
  /** `user`: account/name */
  keyOf(user: string): Promise<Someone>
  /** to the hosted process at that place, as it is now */
  client(at: number, who: Credentials): S3Client
  remove(): Promise<void>
}

export async function openProcesses(count: number): Promise<ProviderProcesses> {
  const state = mkdtempSync(join(tmpdir(), 'sealift-processes-'))
  const given = (...args: string[]) => ['--state', state, ...args]
  const provider = <T>(...args: string[]): Promise<T> => ask<T>('sealift-provider', given(...args))
  await provider('init')
  const keystore = await serve('sealift-provider', given('serve', '--role', 'keystore', 'intake', 'admin'))
  const clients = new Map<string, S3Client>()
  const hosted: HostedProcess[] = []
  const processes: ProviderProcesses = {
    state,
    hosted,
    provider,
    async start(at) {
      const service = await serve<Ready>(
        'sealift-provider',
        given('serve', '--role', 'hosted', '--listen', '127.0.0.1:0'),
        { onStderr: text => process.stderr.write(`hosted ${at}: ${text}`) },
      )
      const url = service.ready.roles.find(each => each.name === 'hosted')?.address
      if (url === undefined) throw new Error('a hosted process that says no address')
      hosted[at] = { service, url }
    },
    async account(name) {
      await provider('account', 'create', name)
      return processes.keyOf(name)
    },
    async keyOf(user) {
      const made = await provider<{ accessKey: string; secret: string; user: string }>('access-key', 'create', user)
      return { id: made.user, accessKey: made.accessKey, secretKey: made.secret }
    },
    client(at, who) {
      const url = hosted[at]?.url ?? ''
      const name = `${url} ${who.accessKey}`
      const client = clients.get(name) ?? s3Client(url, who)
      clients.set(name, client)
      return client
    },
    async remove() {
      for (const client of clients.values()) client.close()
      for (const { service } of hosted) await service.stop()
      await keystore.stop()
      rmSync(state, { recursive: true, force: true })
    },
  }
  try {
    for (let at = 0; at < count; at++) await processes.start(at)
  } catch (error) {
    await processes.remove()
    throw error
  }
  return processes
}

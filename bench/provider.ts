/** Our provider under measure, by its own commands: an account, a job, a device prepared for it, intake, and the hosted store. */
import type { ChildProcess } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Credentials } from '../access/sign.ts'
import { ask, type Service, serve } from '../test/quickstart/commands.ts'
import { type Agent, askDevice, BUCKET, startAgent } from './device.ts'
import type { Place } from './place.ts'
import { perform } from './program.ts'
import type { Endpoint } from './requests.ts'

export type Ordered = {
  /** the provider's */
  state: string
  owner: Credentials
  device: { state: string; drive: string; code: string; running: Set<ChildProcess> }
}
export type SealedDrive = Ordered & { sealCode: string; objects: number }
export type Hosted = { endpoint: Endpoint; pid: number; stop(): Promise<void> }

export type Account = Credentials & { id: string }

/** A job and its device, not yet started. */
export async function order(place: Place, name: string, mode: 'write-only' | 'readable'): Promise<Ordered> {
  const home = place.make(name)
  const state = join(home, 'provider')
  await ask('sealift-provider', ['--state', state, 'init'])
  const owner = await openAccount(state, 'owner')
  return orderJob(home, state, owner, ['--mode', mode])
}

/** An account with an access key. */
export async function openAccount(state: string, name: string): Promise<Account> {
  const provider = <T>(...args: string[]): Promise<T> => ask<T>('sealift-provider', ['--state', state, ...args])
  const { id } = await provider<{ id: string }>('account', 'create', name)
  const made = await provider<{ accessKey: string; secret: string }>('access-key', 'create', name)
  return { id, accessKey: made.accessKey, secretKey: made.secret }
}

/** A job of the account "owner" at a provider that is there, and its device. @param kind - further arguments of `job create` */
export async function orderJob(home: string, state: string, owner: Credentials, kind: string[]): Promise<Ordered> {
  const provider = <T>(...args: string[]): Promise<T> => ask<T>('sealift-provider', ['--state', state, ...args])
  const usual = ['--account', 'owner', '--bucket', BUCKET, '--epoch-idle-seconds', '3600']
  const { job } = await provider<{ job: string }>('job', 'create', ...usual, ...kind)
  const device = { state: join(home, 'device'), drive: join(home, 'drive'), running: new Set<ChildProcess>() }
  const code = join(home, 'code')
  const to = ['--device-state', device.state, '--drive', device.drive, '--code-file', code]
  await provider('device', 'prepare', '--job', job, ...to)
  return { state, owner, device: { ...device, code: readFileSync(code, 'utf8').trim() } }
}

/** Copies each directory under its prefix, and seals. */
export async function fillAndSeal(ordered: Ordered, agent: Agent, sources: [string, string][]): Promise<SealedDrive> {
  const { device } = ordered
  if (!device.running.has(agent.process)) throw new Error('this agent serves another device')
  for (const [path, prefix] of sources) await askDevice(device, 'copy', path, `s3://${BUCKET}/${prefix}`)
  const sealed = await askDevice<{ code: string; objects: number }>(device, 'seal')
  return { ...ordered, sealCode: sealed.code, objects: sealed.objects }
}

/** A whole drive: ordered, filled, sealed, its agent gone. */
export async function sealedDrive(place: Place, name: string, sources: [string, string][]): Promise<SealedDrive> {
  const ordered = await order(place, name, 'write-only')
  const agent = await startAgent(ordered.device)
  try {
    return await fillAndSeal(ordered, agent, sources)
  } finally {
    await agent.stop()
  }
}

/** The same provider again, in another directory: an intake is done once a provider. */
export async function copyProvider(state: string, to: string): Promise<string> {
  const copy = join(to, 'provider')
  await perform('cp', ['-r', state, copy])
  const settings = join(copy, 'keystore.json')
  const text = readFileSync(settings, 'utf8')
  writeFileSync(settings, text.replaceAll(JSON.stringify(state), JSON.stringify(copy)))
  return copy
}

/** The provider's service, hosted store included. */
export async function startProvider(state: string, owner: Credentials): Promise<Hosted> {
  type Ready = { roles: { name: string; address: string }[] }
  const args = ['--state', state, 'serve', '--listen', '127.0.0.1:0']
  const service: Service<Ready> = await serve<Ready>('sealift-provider', args)
  const address = service.ready.roles.find(role => role.name === 'hosted')?.address ?? ''
  return {
    endpoint: { port: Number(new URL(address).port), bucket: BUCKET, credentials: owner },
    pid: service.process.pid ?? 0,
    async stop() {
      await service.stop()
    },
  }
}

/** From the start of the command to its report. @throws Error when not every object went in */
export async function takeIn(state: string, drive: SealedDrive): Promise<void> {
  type Report = { outcome: string; counts: { stored: number; held: number } }
  const args = ['--state', state, 'intake', drive.device.drive, '--seal-code', drive.sealCode]
  const { outcome, counts } = await ask<Report>('sealift-provider', args)
  if (outcome !== 'complete' || counts.stored !== drive.objects)
    throw new Error(`intake: ${outcome}, ${counts.stored} of ${drive.objects} objects stored, ${counts.held} held`)
}

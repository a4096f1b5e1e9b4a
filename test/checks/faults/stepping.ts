import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Running, sealift, startAgent } from '../../agent/agent.ts'
import { command, credentialsOf, statusOf } from '../../agent/killing.ts'
import { type Prepared, prepareDevice } from '../../agent/prepared.ts'
import { type Answer, type S3Client, s3Client } from '../../s3-client.ts'
import { contentOf, Ledger } from './ledger.ts'
import { count, type Findings } from './report.ts'
import { CALLS, type ERRNO, openShim, type Shim } from './shim.ts'
import { copyTree, put, putParts, type Workload } from './workload.ts'

export type Step = {
  findings: Findings
  /** whose files' calls fail */
  where: 'drive' | 'state'
  error: keyof typeof ERRNO
  /** one call fails, or every one from it on */
  which: 'once' | 'from then on'
  /** words that a refusal must have, one of them */
  wanted: RegExp
  /** only scenes whose name has this */
  only?: string
}

type Place = { work: Workload; prepared: Prepared; agent: Running; client: S3Client; shim: Shim; refusals: string[] }

/** Does one thing. `packsOnly`: in the state directory it does nothing that another scene does not. */
type Scene = { name: string; packsOnly?: true; run: (place: Place, key: string) => Promise<void> }

/** A large object: one that is streamed to a pack of its own. */
function largeKey(prefix: string): string {
  for (let at = 0; ; at++) if (contentOf(`${prefix}.${at}`).length > 1 << 20) return `${prefix}.${at}`
}
function smallKey(prefix: string): string {
  for (let at = 0; ; at++) if (contentOf(`${prefix}.${at}`).length < 1 << 20) return `${prefix}.${at}`
}

const SCENES: Scene[] = [
  { name: 'PUT', run: async ({ work }, key) => void (await put(work, smallKey(key))) },
  {
    name: 'PUT of a large object',
    packsOnly: true,
    run: async ({ work }, key) => void (await put(work, largeKey(key))),
  },
  { name: 'multipart', packsOnly: true, run: async ({ work }, key) => void (await putParts(work, key)) },
  {
    name: 'overwriting and deleting',
    async run({ work }, key) {
      await put(work, smallKey(key))
      const name = smallKey(key)
      const acknowledge = work.ledger.begin(name, null)
      const answer = await work.client.send('DELETE', `/b/${name}`)
      if (answer.status === 204) acknowledge(0)
      else work.refused(answer)
    },
  },
  { name: 'copy', packsOnly: true, run: async ({ work }, key) => void (await copyTree(work, key)) },
  {
    name: 'end of an epoch, and the first PUT of the next',
    async run(place, key) {
      await said(place, 'end-epoch')
      await put(place.work, smallKey(key))
    },
  },
  { name: 'seal', run: place => said(place, 'seal') },
  {
    name: 'reopening',
    async run(place) {
      await said(place, 'reopen')
    },
  },
  {
    name: 'lock and unlock, each an event in the custody log',
    async run(place) {
      await said(place, 'lock')
      await said(place, 'unlock', { code: place.prepared.code })
    },
  },
]

/** A command whose refusal is kept. */
async function said({ prepared, refusals }: Place, name: string, args: Record<string, unknown> = {}): Promise<void> {
  try {
    await command(prepared, name, args)
  } catch (error) {
    refusals.push(error instanceof Error ? error.message : String(error))
  }
}

/** Where all calls fail from one on, the next few would fail the same. */
const STRIDE = 3

/** A full medium still shortens files, and syncs what has its place already; one sync may be told of what found none. */
function kindsOf({ error, which }: Step): number {
  const all = CALLS.write | CALLS.sync | CALLS.name
  if (error === 'EIO') return all | CALLS.cut
  return which === 'once' ? all : CALLS.write | CALLS.name
}

/** Every write, sync and change of a name in each scene fails, one after another; after each, all that was acknowledged is there and work goes on. */
export async function stepThrough(step: Step): Promise<void> {
  const { findings } = step
  const directory = mkdtempSync(join(tmpdir(), 'sealift-faults-'))
  const prepared = await prepareDevice({ mode: 'readable', readBack: 'none' })
  const shim = openShim(directory, step.where === 'drive' ? prepared.drive : prepared.state)
  Object.assign(prepared.environment, shim.environment)
  const ledger = new Ledger()
  try {
    const agent = await startAgent(prepared)
    const client = s3Client(agent.url, await credentialsOf(prepared))
    const refusals: string[] = []
    const refused = (answer: Answer): void => void refusals.push(`${answer.status} ${messageOf(answer)}`)
    const work: Workload = { prepared, client, ledger, position: () => 0, refused }
    const place: Place = { work, prepared, agent, client, shim, refusals }
    let serial = 0
    await put(work, smallKey('first'))
    for (const scene of SCENES.filter(
      each => (step.where === 'drive' || !each.packsOnly) && each.name.includes(step.only ?? ''),
    ))
      for (let call = 1; ; call += step.which === 'once' ? 1 : STRIDE) {
        await toStart(place, scene)
        refusals.length = 0
        shim.arm({ kinds: kindsOf(step), error: step.error, from: call, ...(step.which === 'once' && { to: call }) })
        await scene.run(place, `s${serial++}`)
        const { failed, last } = shim.seen()
        shim.disarm()
        if (failed === 0) break
        count(findings, `${step.error} ${step.which} (${step.where})`)
        const when = `${scene.name}, call ${call} (${last}) ${step.error} ${step.which} on ${step.where}`
        if (agent.process.exitCode !== null || agent.process.signalCode !== null)
          throw new Error(`${when}: the agent ended: ${agent.errors()}`)
        for (const each of refusals)
          if (!step.wanted.test(each)) findings.wrong.push(`${when}: the refusal does not say what to do: ${each}`)
        await goOn(place, when, step)
        await compare(place, when, step, [...ledger.keys()].slice(-3))
      }
    if ((await statusOf(prepared)).state === 'locked') await unlock(prepared)
    const names = await client.keys('b')
    await compare(place, 'at the end', step, names)
    client.close()
    await agent.stop()
    await sealAtEnd(prepared, names.length, step)
    findings.acknowledged += ledger.acknowledged
  } catch (error) {
    findings.wrong.push(error instanceof Error ? (error.stack ?? error.message) : String(error))
  } finally {
    shim.close()
    await prepared.remove()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Brings the device to the state that the scene begins in; where a fault still stands in the way, lock and unlock must do. */
async function toStart(place: Place, scene: Scene): Promise<void> {
  try {
    await prepareFor(place, scene)
  } catch {
    await lockAndUnlock(place)
    await prepareFor(place, scene)
  }
}

async function prepareFor({ prepared, work }: Place, scene: Scene): Promise<void> {
  const { state } = await statusOf(prepared)
  if (state === 'locked') await unlock(prepared)
  if (state === 'sealing') await command(prepared, 'seal')
  const wanted = scene.name === 'reopening' ? 'sealed' : 'open'
  const now = (await statusOf(prepared)).state
  if (now !== wanted) await command(prepared, wanted === 'sealed' ? 'seal' : 'reopen')
  if (wanted === 'open') await put(work, `start-${work.ledger.acknowledged}`)
}

async function lockAndUnlock({ prepared, refusals }: Place): Promise<void> {
  // what it met while it closed is told; it is locked all the same
  await command(prepared, 'lock').catch((fault: Error) => refusals.push(fault.message))
  await unlock(prepared)
}

/** A try that a fault cut short is counted: the next one waits a second. */
async function unlock(prepared: Prepared): Promise<void> {
  const code = { code: prepared.code }
  await command(prepared, 'unlock', code).catch(async () => {
    await delay(2500)
    await command(prepared, 'unlock', code)
  })
}

/** After the fault is over the device takes objects again; where it does not by itself, locking and unlocking must do. */
async function goOn(place: Place, when: string, { findings, error, where, which }: Step): Promise<void> {
  const { prepared, work } = place
  const probe = async (): Promise<boolean> => {
    const before = work.ledger.acknowledged
    await put(work, `probe-${before}`)
    return work.ledger.acknowledged > before
  }
  const { state } = await statusOf(prepared)
  if (state !== 'open') return // the next scene's start tells
  // a try to close an epoch again is made once a second; an index that failed waits for the next unlock
  for (let tries = 0; tries < (where === 'drive' && (which === 'once' || error === 'ENOSPC') ? 4 : 1); tries++) {
    if (await probe()) return
    await delay(400)
  }
  count(findings, 'times it went on only after lock and unlock')
  if (error === 'ENOSPC' && where === 'drive')
    findings.wrong.push(`${when}: with room again it does not go on: ${place.refusals.at(-1)}`)
  await lockAndUnlock(place)
  if (!(await probe())) throw new Error(`${when}: it takes nothing after lock and unlock: ${place.refusals.at(-1)}`)
}

async function compare(place: Place, when: string, { findings }: Step, names: string[]) {
  const { prepared, client, work } = place
  if ((await statusOf(prepared)).state === 'locked') await unlock(prepared)
  const keys = await client.keys('b').catch(async () => {
    await lockAndUnlock(place)
    return client.keys('b')
  })
  const listed = new Set(keys)
  for (const key of work.ledger.keys())
    if (!listed.has(key) && work.ledger.mustBeThere(key))
      findings.lost.push(`${when}: ${key} was acknowledged and is gone`)
  for (const key of names) {
    if (!listed.has(key)) continue
    const { status, body } = await client.get('b', key)
    findings.compared++
    if (status !== 200)
      findings.lost.push(`${when}: ${key} is listed and reads ${status}: ${place.agent.errors().slice(-500)}`)
    else if (!work.ledger.mayHold(key, body))
      findings.wrong.push(`${when}: ${key} is not what was put: ${work.ledger.describe(key, body)}`)
  }
}

async function sealAtEnd(prepared: Prepared, objects: number, { findings, where, error }: Step): Promise<void> {
  await sealift(prepared, ['reopen'], prepared.code)
  const sealed = await sealift(prepared, ['--json', 'seal'], prepared.code)
  const counted = sealed.code === 0 ? JSON.parse(sealed.stdout).objects : sealed.stderr
  if (counted !== objects)
    findings.wrong.push(`after ${error} on ${where} the seal counts ${counted}, ${objects} are there`)
}

function messageOf(answer: Answer): string {
  const text = answer.body.toString()
  return `${/<Code>([^<]*)/.exec(text)?.[1] ?? ''} ${/<Message>([^<]*)/.exec(text)?.[1] ?? text}`
}

/** Kills a working agent again and again: what it acknowledged must be there and right each time it comes back. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { askAgent } from '../../agent/control.ts'
import type { CopyResult } from '../../agent/copy/report.ts'
import { contentOf, Ledger } from '../checks/faults/ledger.ts'
import type { Random } from '../checks/faults/random.ts'
import { count, type Findings, newFindings } from '../checks/faults/report.ts'
import { type S3Client, s3Client } from '../s3-client.ts'
import { type Running, sealift, startAgent } from './agent.ts'
import { type Prepared, prepareDevice } from './prepared.ts'

const WRITERS = 7
const BATCH_FILES = 12
const PATIENCE_MS = 10_000

export type KillOptions = { rounds: number; random: Random; onRound?: (round: number) => void }

/** @returns what was tried and found; nothing lost and nothing wrong is for the caller to want */
export async function killRounds({ rounds, random, onRound }: KillOptions): Promise<Findings> {
  // epochs of 25 objects: kills fall on their beginnings and ends too
  const prepared = await prepareDevice({ mode: 'readable', limits: { objects: 25 } })
  const ledger = new Ledger()
  const findings = newFindings()
  try {
    let fresh: string[] = []
    let visible = 0
    for (let round = 0; round < rounds; round++) {
      onRound?.(round)
      if (round % 7 === 3) {
        for (const name of readdirSync(prepared.state).filter(each => each.startsWith('index-')))
          rmSync(join(prepared.state, name))
        count(findings, 'indexes removed')
      }
      if (round % 9 === 5) {
        await killWhileStarting(prepared, random.between(50, 900))
        count(findings, 'kills during start and recovery')
      }
      const agent = await startPatiently(prepared)
      const client = s3Client(agent.url, await credentialsOf(prepared))
      if ((await statusOf(prepared)).state === 'sealed') await command(prepared, 'reopen')
      await compare(client, ledger, `round ${round}`, findings, { all: false, fresh })
      const begun = workOn(prepared, client, ledger, round, random)
      await begun.working(random)
      const sealing = round % 10 === 9
      if (sealing) {
        void command(prepared, 'seal').catch(() => undefined)
        await delay(random.between(0, 250))
      }
      await agent.kill()
      count(findings, sealing ? 'kills during a seal' : 'kills during PUT and copy')
      fresh = await begun.end()
      client.close()
    }
    visible = await lookAtAll(prepared, ledger, findings)
    await sealAtEnd(prepared, visible, findings)
    findings.acknowledged = ledger.acknowledged
    return findings
  } finally {
    await prepared.remove()
  }
}

/** A kill in the middle of an unlocking counts as a wrong code, so that pulling the plug gives nobody more tries: then it has to wait. */
async function startPatiently(prepared: Prepared): Promise<Running> {
  for (;;) {
    try {
      return await startAgent(prepared)
    } catch (error) {
      const seconds = /too many wrong codes: try again in (\d+) s/.exec(String(error))?.[1]
      if (seconds === undefined) throw error
      await delay(Number(seconds) * 1000)
    }
  }
}

async function lookAtAll(prepared: Prepared, ledger: Ledger, findings: Findings): Promise<number> {
  const agent = await startPatiently(prepared)
  const client = s3Client(agent.url, await credentialsOf(prepared))
  const visible = await compare(client, ledger, 'at the end', findings, { all: true, fresh: [] })
  client.close()
  const status = await agent.stop()
  if (status !== 0) findings.wrong.push(`the agent ended with ${status}: ${agent.errors()}`)
  return visible
}

async function sealAtEnd(prepared: Prepared, visible: number, findings: Findings): Promise<void> {
  if ((await sealift(prepared, ['--json', 'reopen'], prepared.code)).code === 0) count(findings, 'reopened at the end')
  const sealed = await sealift(prepared, ['--json', 'seal'], prepared.code)
  const objects = sealed.code === 0 ? JSON.parse(sealed.stdout).objects : sealed.stderr
  if (objects !== visible) findings.wrong.push(`the seal counts ${objects} objects, ${visible} are there`)
}

/** PUTs of several writers and copies of small trees, until the agent is gone. */
function workOn(prepared: Prepared, client: S3Client, ledger: Ledger, round: number, random: Random) {
  const begun: string[] = []
  let stopped = false
  const writer = async (name: string): Promise<void> => {
    for (let at = 0; !stopped; at++) {
      const key = `r${round}-${name}-${at}`
      const acknowledge = ledger.begin(key, () => contentOf(key))
      begun.push(key)
      try {
        const { status } = await client.put('b', key, contentOf(key))
        if (status === 200) acknowledge(round)
      } catch {
        return // the agent died under this PUT: it was not acknowledged
      }
    }
  }
  const copier = async (): Promise<void> => {
    for (let batch = 0; !stopped; batch++) {
      const prefix = `r${round}-copy${batch}`
      const source = join(prepared.root, 'source')
      rmSync(source, { recursive: true, force: true })
      mkdirSync(source)
      const told: ((at: number) => void)[] = []
      for (let file = 0; file < BATCH_FILES; file++) {
        const key = `${prefix}/f${file}`
        writeFileSync(join(source, `f${file}`), contentOf(key))
        told.push(ledger.begin(key, () => contentOf(key)))
        begun.push(key)
      }
      try {
        const result = (await command(prepared, 'copy', { source, bucket: 'b', prefix })) as CopyResult
        if (result.files === BATCH_FILES && result.failed === 0) for (const acknowledge of told) acknowledge(round)
      } catch {
        return // likewise
      }
    }
  }
  const all = Array.from({ length: WRITERS }, (_, at) => writer(`w${at}`))
  if (random.oneIn(2)) all.push(copier())
  const before = ledger.acknowledged
  return {
    /** Until a moment to kill at. Most are counted in acknowledgements, so that a slow disk means longer rounds and not emptier ones. */
    async working({ oneIn, between }: Random): Promise<void> {
      const wanted = oneIn(4) ? 0 : between(1, 12)
      const latest = Date.now() + PATIENCE_MS
      while (ledger.acknowledged - before < wanted && Date.now() < latest) await delay(1)
      await delay(between(wanted === 0 ? 5 : 0, wanted === 0 ? 150 : 30))
    },
    async end() {
      stopped = true
      await Promise.all(all)
      return begun
    },
  }
}

/** @returns objects listed */
async function compare(
  client: S3Client,
  ledger: Ledger,
  when: string,
  findings: Findings,
  which: { all: boolean; fresh: string[] },
): Promise<number> {
  const listed = new Set(await client.keys('b'))
  for (const key of ledger.keys())
    if (!listed.has(key) && ledger.mustBeThere(key)) findings.lost.push(`${when}: ${key} was acknowledged and is gone`)
  for (const key of which.all ? listed : which.fresh.filter(each => listed.has(each))) {
    const { status, body } = await client.get('b', key)
    findings.compared++
    if (status !== 200) findings.lost.push(`${when}: ${key} is listed and reads ${status}`)
    else if (!ledger.mayHold(key, body)) findings.wrong.push(`${when}: ${key} is not what was put`)
  }
  return listed.size
}

/** Kills an agent that has not said that it is ready. */
async function killWhileStarting(prepared: Prepared, afterMs: number): Promise<void> {
  const started: Promise<Running | null> = startAgent(prepared).catch(() => null)
  await delay(afterMs)
  for (const child of prepared.running) child.kill('SIGKILL')
  // it may have been ready a moment before
  await (await started)?.kill()
}

export async function command(prepared: Prepared, name: string, args: Record<string, unknown> = {}): Promise<unknown> {
  const asked = await askAgent(prepared.state, { command: name, args }, () => undefined)
  if (asked === null) throw new Error('no agent runs')
  return asked.answer
}

export async function credentialsOf(prepared: Prepared): Promise<{ accessKey: string; secretKey: string }> {
  return (await command(prepared, 'credentials')) as { accessKey: string; secretKey: string }
}

export async function statusOf(
  prepared: Prepared,
): Promise<{ state: string; recovered: { damage: number; lost: unknown[] } | null }> {
  return (await command(prepared, 'status')) as { state: string; recovered: { damage: number; lost: unknown[] } | null }
}

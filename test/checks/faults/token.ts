import { readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { command } from '../../agent/killing.ts'
import { type Prepared, prepareDevice } from '../../agent/prepared.ts'
import { judge } from './judge.ts'
import { Ledger } from './ledger.ts'
import { type Random, seeded } from './random.ts'
import { count, type Findings, newFindings } from './report.ts'
import { openWork, put, type Workload } from './workload.ts'

const WRITERS = 5
/** A call is given 10 s, the start after it 20 s, and a call that may be repeated 10 s more; a PUT may wait for two. */
const ANSWER_SECONDS = 80
const BACK_SECONDS = 45

type Harm = {
  name: string
  rounds: (all: number) => number
  do: (token: number, prepared: Prepared) => Promise<void>
  undo: (prepared: Prepared) => void
}

const HARMS: Harm[] = [
  {
    name: 'kills of the token process',
    rounds: all => all,
    do: async token => void process.kill(token, 'SIGKILL'),
    undo: () => undefined,
  },
  {
    name: 'token processes that hung',
    rounds: all => Math.ceil(all / 10),
    do: async token => void process.kill(token, 'SIGSTOP'),
    undo: () => undefined,
  },
  {
    name: 'tokens that answered errors',
    rounds: all => Math.ceil(all / 4),
    async do(_, prepared) {
      renameSync(join(prepared.state, TOKENS), join(prepared.state, `${TOKENS}.away`))
      await delay(1500)
    },
    undo: prepared => renameSync(join(prepared.state, `${TOKENS}.away`), join(prepared.state, TOKENS)),
  },
]
const TOKENS = 'token/softhsm/tokens'

/** The token's process is killed, hangs, or answers errors while objects are put; epochs are short, so that it is asked all the time. */
export async function checkToken(rounds: number, seed: number): Promise<Findings> {
  const findings = newFindings()
  const prepared = await prepareDevice({ mode: 'readable', limits: { objects: 6 } })
  const ledger = new Ledger()
  const random = seeded(seed, 'token')
  try {
    const { agent, client, refused, work } = await openWork(prepared, ledger)
    for (const harm of HARMS)
      for (let round = 0; round < harm.rounds(rounds); round++) {
        refused.length = 0
        const when = `${harm.name}, round ${round}`
        await once(work, harm, agent.process.pid ?? 0, when, random, findings)
        for (const each of refused)
          if (!/^503 /.test(each) || !/token/i.test(each)) findings.wrong.push(`${when}: unclear refusal: ${each}`)
        count(findings, 'PUTs refused with 503', refused.length)
        count(findings, harm.name)
        if (agent.process.exitCode !== null) throw new Error(`${when}: the agent ended: ${agent.errors()}`)
      }
    await command(prepared, 'seal')
    await command(prepared, 'reopen')
    client.close()
    await agent.stop()
    await judge({ ...prepared, ledger, at: Number.POSITIVE_INFINITY, sealCode: null }, 'at the end', random, findings)
  } catch (error) {
    findings.wrong.push(`token: ${error instanceof Error ? (error.stack ?? error.message) : error}`)
  } finally {
    findings.acknowledged = ledger.acknowledged
    await prepared.remove()
  }
  return findings
}

async function once(
  work: Workload,
  harm: Harm,
  agent: number,
  when: string,
  random: Random,
  findings: Findings,
): Promise<void> {
  let over = false
  let slowest = 0
  const name = when.replaceAll(/\W+/g, '-')
  const all = Array.from({ length: WRITERS }, async (_, at) => {
    for (let number = 0; !over; number++) {
      const before = performance.now()
      if (!(await put(work, `${name}-w${at}-${number}`))) return
      slowest = Math.max(slowest, performance.now() - before)
      // a client that was told to slow down does
      await delay(5)
    }
  })
  await delay(random.between(10, 120))
  const token = tokenProcess(agent)
  if (token !== null) await harm.do(token, work.prepared)
  await delay(random.between(50, 200))
  harm.undo(work.prepared)
  over = true
  await Promise.all(all)
  findings.tried['s the slowest answer'] = Math.max(
    findings.tried['s the slowest answer'] ?? 0,
    Math.round(slowest / 1000),
  )
  if (slowest > ANSWER_SECONDS * 1000) findings.wrong.push(`${when}: an answer took ${(slowest / 1000).toFixed(1)} s`)
  await goesOn(work, when, findings)
}

/** With the token back, PUTs go again, across an epoch's end. */
async function goesOn(work: Workload, when: string, findings: Findings): Promise<void> {
  const name = when.replaceAll(/\W+/g, '-')
  const until = performance.now() + BACK_SECONDS * 1000
  for (let number = 0, good = 0; good < 8; number++) {
    const before = work.ledger.acknowledged
    await put(work, `${name}-after-${number}`)
    if (work.ledger.acknowledged > before) good++
    else await delay(200)
    if (performance.now() > until) {
      findings.wrong.push(`${when}: it does not go on ${BACK_SECONDS} s after the token is back`)
      return
    }
  }
}

/** The agent's child that holds the token; null between two. */
function tokenProcess(agent: number): number | null {
  for (const task of readdirSync(`/proc/${agent}/task`))
    for (const child of readFileSync(`/proc/${agent}/task/${task}/children`, 'utf8').split(' ')) {
      if (child.trim() === '') continue
      const said = readFileSync(`/proc/${child}/cmdline`, 'utf8')
      if (said.includes('hsm/process/main')) return Number(child)
    }
  return null
}

import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { sealift, startAgent } from '../../agent/agent.ts'
import { command, credentialsOf } from '../../agent/killing.ts'
import { type Prepared, prepareDevice } from '../../agent/prepared.ts'
import { s3Client } from '../../s3-client.ts'
import { judge } from './judge.ts'
import { Ledger } from './ledger.ts'
import { seeded } from './random.ts'
import { count, type Findings, newFindings } from './report.ts'
import { put, putAgain, putNew, type Workload } from './workload.ts'

const LIBRARIES = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(each => `/usr/lib/${each}/faketime/libfaketime.so.1`)
const MINUTE = 60
const DAY = 86_400
/** S3 allows a request to be 15 minutes off. */
const SKEW = 15 * MINUTE
/** Seconds that the device's clock is off, one after another: forward and back, small and large. */
const JUMPS = [0, 600, -600, 0, 3 * DAY, -12 * 3600, 20 * DAY, 5, -5, -14 * MINUTE, 14 * MINUTE, 0]

export function faketimeLibrary(): string | null {
  return LIBRARIES.find(each => existsSync(each)) ?? null
}

/** The device's clock jumps while objects are put, overwritten and deleted; what is newest is decided by sequence, never by time. */
export async function checkClock(rounds: number, seed: number): Promise<Findings> {
  const findings = newFindings()
  const library = faketimeLibrary()
  if (library === null) throw new Error('libfaketime is not installed')
  const directory = mkdtempSync(join(tmpdir(), 'sealift-clock-'))
  const clock = join(directory, 'clock')
  const jump = (seconds: number): void => writeFileSync(clock, `${seconds < 0 ? '' : '+'}${seconds}\n`)
  const prepared = await prepareDevice({ mode: 'readable', limits: { objects: 25 } })
  const ledger = new Ledger()
  const random = seeded(seed, 'clock')
  try {
    jump(0)
    Object.assign(prepared.environment, {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: clock,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    })
    for (let round = 0; round < rounds; round++) {
      const agent = await startAgent(prepared)
      for (const [number, seconds] of JUMPS.entries()) {
        jump(seconds)
        count(findings, 'jumps of the clock')
        const when = `round ${round}, clock off by ${seconds} s`
        await atOffset(prepared, agent.url, ledger, `r${round}-j${number}`, seconds, when, findings)
      }
      const { code } = (await command(prepared, 'seal')) as { code: string }
      const verified = await sealift(prepared, ['verify'], prepared.code)
      if (verified.code !== 0) findings.wrong.push(`round ${round}: verify: ${verified.stderr}`)
      if (code === '') findings.wrong.push(`round ${round}: a seal without a code`)
      await command(prepared, 'reopen')
      // what is newest must come out of the packs the same way
      if (random.oneIn(2)) await agent.stop()
      else await agent.kill()
      for (const name of readdirSync(prepared.state).filter(each => each.startsWith('index-')))
        rmSync(join(prepared.state, name))
    }
    await judge({ ...prepared, ledger, at: Number.POSITIVE_INFINITY, sealCode: null }, 'at the end', random, findings)
  } catch (error) {
    findings.wrong.push(`clock: ${error instanceof Error ? (error.stack ?? error.message) : error}`)
  } finally {
    findings.acknowledged = ledger.acknowledged
    await prepared.remove()
    rmSync(directory, { recursive: true, force: true })
  }
  return findings
}

async function atOffset(
  prepared: Prepared,
  url: string,
  ledger: Ledger,
  name: string,
  seconds: number,
  when: string,
  findings: Findings,
): Promise<void> {
  const refused: string[] = []
  const workOf = (off: number): Workload => ({
    prepared,
    ledger,
    client: s3Client(url, credentials, () => new Date(Date.now() + off * 1000)),
    position: () => 0,
    refused: answer => void refused.push(`${answer.status} ${answer.body.toString()}`),
  })
  const credentials = await credentialsOf(prepared)
  // a client with the right time: refused when the device is too far off, and told why
  const right = workOf(0)
  const before = ledger.acknowledged
  await put(right, `${name}-right`)
  const taken = ledger.acknowledged > before
  if (taken !== Math.abs(seconds) < SKEW)
    findings.wrong.push(`${when}: a request of now was ${taken ? 'taken' : 'refused'}`)
  if (!taken && !/RequestTimeTooSkewed/.test(refused[0] ?? ''))
    findings.wrong.push(`${when}: unclear refusal: ${refused[0]}`)
  right.client.close()
  refused.length = 0
  // one that goes by the device's clock
  const work = workOf(seconds)
  let over = false
  const all = [putNew(work, name, () => over), putAgain(work, 'again', () => over)]
  await delay(250)
  over = true
  await Promise.all(all)
  for (const each of refused) findings.wrong.push(`${when}: refused: ${each}`)
  const listed = new Set(await work.client.keys('b'))
  for (const key of ledger.keys()) {
    if (!listed.has(key) && ledger.mustBeThere(key)) findings.lost.push(`${when}: ${key} was acknowledged and is gone`)
    if (!key.startsWith('again') || !listed.has(key)) continue
    findings.compared++
    const { status, body } = await work.client.get('b', key)
    if (status !== 200 || !ledger.mayHold(key, body)) findings.wrong.push(`${when}: ${key} is not what was put last`)
  }
  work.client.close()
}

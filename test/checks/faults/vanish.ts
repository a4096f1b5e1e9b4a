import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { sealift } from '../../agent/agent.ts'
import { statusOf } from '../../agent/killing.ts'
import { type Prepared, prepareDevice } from '../../agent/prepared.ts'
import { cutPower, makeFileSystem, mountImage } from './block-device.ts'
import { judge } from './judge.ts'
import { Ledger } from './ledger.ts'
import { type Random, seeded } from './random.ts'
import { count, type Findings, newFindings } from './report.ts'
import { stepThrough } from './stepping.ts'
import { copyTree, openWork, put, putAgain, putNew, type Workload } from './workload.ts'

const MEBIBYTES = 128
const WRITERS = 5

/** The drive goes away under a working agent: every call fails from one on, by injection; and an ext4 whose power is cut. */
export async function checkVanish(rounds: number, seed: number): Promise<Findings> {
  const findings = newFindings()
  await stepThrough({ findings, where: 'drive', error: 'EIO', which: 'from then on', wanted: /medium|drive|index/ })
  for (let round = 0; round < rounds; round++) {
    const random = seeded(seed, `vanish ${round}`)
    // half of them take the state directory along: a power cut of the whole device
    await vanish(round, round % 2 === 1, random, findings)
  }
  return findings
}

async function vanish(round: number, whole: boolean, random: Random, findings: Findings): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-vanish-'))
  const image = join(directory, 'drive.img')
  makeFileSystem(image, MEBIBYTES)
  let medium = mountImage(image, join(directory, 'medium'))
  const ledger = new Ledger()
  const when = `${whole ? 'power cut' : 'drive gone'}, round ${round}`
  let prepared: Prepared | null = null
  try {
    prepared = await prepareDevice({
      mode: 'readable',
      limits: { objects: 30 },
      directory: whole ? medium.path : directory,
      ...(!whole && { drive: join(medium.path, 'drive') }),
    })
    const { agent, client, refused, work } = await openWork(prepared, ledger)
    let over = false
    const stopped = (): boolean => over
    const all = Array.from({ length: WRITERS }, (_, at) => putNew(work, `w${at}`, stopped))
    all.push(putAgain(work, 'again', stopped))
    if (!whole && random.oneIn(2)) all.push(copyTree(work, 'copy').then(() => undefined))
    await delay(random.between(50, 700))
    cutPower(medium.path)
    await delay(100)
    over = true
    await Promise.all(all)
    count(findings, whole ? 'power cuts of an ext4' : 'drives gone under a working agent')
    await refusesAll(work, refused, when, findings)
    if (agent.process.exitCode !== null) findings.wrong.push(`${when}: the agent ended: ${agent.errors()}`)
    else if (!whole) {
      await statusOf(prepared)
      if (agent.errors() === '') findings.wrong.push(`${when}: the agent says nothing of it`)
    }
    client.close()
    await agent.kill()
    await medium.unmount()
    // the journal is replayed in here
    medium = mountImage(image, medium.path)
    await judge({ ...prepared, ledger, at: Number.POSITIVE_INFINITY, sealCode: null }, when, random, findings)
    if ((await sealift(prepared, ['status'])).code !== 0) findings.wrong.push(`${when}: no status afterwards`)
  } catch (error) {
    findings.wrong.push(`${when}: ${error instanceof Error ? (error.stack ?? error.message) : error}`)
  } finally {
    findings.acknowledged += ledger.acknowledged
    for (const child of prepared?.running ?? []) child.kill('SIGKILL')
    await medium.unmount()
    await prepared?.remove()
    rmSync(directory, { recursive: true, force: true })
  }
}

async function refusesAll(work: Workload, refused: string[], when: string, findings: Findings): Promise<void> {
  const before = work.ledger.acknowledged
  refused.length = 0
  for (let at = 0; at < 5; at++) await put(work, `refused-${at}`)
  if (work.ledger.acknowledged > before) findings.wrong.push(`${when}: a PUT was acknowledged by a drive that is gone`)
  for (const each of refused)
    if (!/^5\d\d /.test(each) || !/medium|drive|index/.test(each))
      findings.wrong.push(`${when}: unclear refusal: ${each}`)
}

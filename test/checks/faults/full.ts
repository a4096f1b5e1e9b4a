import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { command } from '../../agent/killing.ts'
import { prepareDevice } from '../../agent/prepared.ts'
import { makeFileSystem, mountImage } from './block-device.ts'
import { Ledger } from './ledger.ts'
import { count, type Findings, newFindings } from './report.ts'
import { stepThrough } from './stepping.ts'
import { openWork, put } from './workload.ts'

const FULL = /full/

/** No room: at every call of every scene once, by injection; and on a real small file system that fills up. */
export async function checkFull(): Promise<Findings> {
  const findings = newFindings()
  for (const where of ['drive', 'state'] as const)
    await stepThrough({ findings, where, error: 'ENOSPC', which: 'once', wanted: FULL })
  await stepThrough({ findings, where: 'drive', error: 'ENOSPC', which: 'from then on', wanted: FULL })
  await fillUp(findings)
  return findings
}

const MEBIBYTES = 40

/** PUTs until the drive is full; then a seal must still go, and with room again PUTs too. */
async function fillUp(findings: Findings): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-full-'))
  const image = join(directory, 'small.img')
  makeFileSystem(image, MEBIBYTES)
  const medium = mountImage(image, join(directory, 'small'))
  const ballast = join(medium.path, 'ballast')
  const ledger = new Ledger()
  try {
    writeFileSync(ballast, Buffer.alloc(8 << 20))
    const prepared = await prepareDevice({
      mode: 'readable',
      limits: { objects: 40 },
      directory,
      drive: join(medium.path, 'drive'),
    })
    try {
      const { agent, client, refused, work } = await openWork(prepared, ledger)
      const fill = async (name: string): Promise<void> => {
        refused.length = 0
        for (let at = 0; refused.length < 20 && at < 20_000; at++) await put(work, `${name}-${at}`)
        count(findings, 'times a small file system was filled up')
        for (const each of refused) if (!FULL.test(each)) findings.wrong.push(`full (${name}): ${each}`)
        const { bavail, bsize } = statfsSync(medium.path)
        count(findings, 'KiB left free', Math.round((bavail * bsize) / 1024))
      }
      const seal = async (when: string): Promise<void> => {
        const { objects } = (await command(prepared, 'seal')) as { objects: number }
        const listed = await client.keys('b')
        if (objects !== listed.length)
          findings.wrong.push(`${when}: the seal counts ${objects}, ${listed.length} are there`)
        for (const key of ledger.keys())
          if (ledger.mustBeThere(key) && !listed.includes(key))
            findings.lost.push(`${when}: ${key} was acknowledged and is gone`)
        for (const key of listed.slice(-50)) {
          findings.compared++
          const { status, body } = await client.get('b', key)
          if (status !== 200 || !ledger.mayHold(key, body))
            findings.wrong.push(`${when}: ${key} reads ${status}, or is not what was put`)
        }
      }
      await fill('first')
      await seal('full')
      await command(prepared, 'reopen')
      rmSync(ballast)
      const before = ledger.acknowledged
      await put(work, 'with room again')
      if (ledger.acknowledged === before) findings.wrong.push(`with room again it takes nothing: ${refused.at(-1)}`)
      await fill('again')
      await seal('full again')
      client.close()
      const status = await agent.stop()
      if (status !== 0) findings.wrong.push(`the agent of a full drive ended with ${status}: ${agent.errors()}`)
    } finally {
      await prepared.remove()
    }
  } catch (error) {
    findings.wrong.push(`filling up: ${error instanceof Error ? error.message : error}`)
  } finally {
    findings.acknowledged += ledger.acknowledged
    await medium.unmount()
    rmSync(directory, { recursive: true, force: true })
  }
}

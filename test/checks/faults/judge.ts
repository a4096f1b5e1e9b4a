import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Device } from '../../../agent/device.ts'
import type { PackStore } from '../../../store/pack/pack-store.ts'
import { checkDrive } from '../../../verify/drive.ts'
import { SILENT } from '../../../verify/progress.ts'
import { startReport } from '../../../verify/report.ts'
import { bytesOf, readAll } from '../../store/pack/device.ts'
import type { Ledger } from './ledger.ts'
import type { Random } from './random.ts'
import type { Findings } from './report.ts'

export type Scene = {
  state: string
  drive: string
  code: string
  ledger: Ledger
  /** what had been acknowledged by then must be there */
  at: number
  /** the seal code that was told and not taken back by then */
  sealCode: string | null
}

const SAMPLE = 40
/** Behind any wait after a try of the code that a cut left counted. */
const LATER_MS = 3_600_000

/**
 * Opens a device as it was found, by the agent's own recovery, and compares it with what a client was told; then it must take an object and a
 * seal as if nothing had been.
 */
export async function judge(scene: Scene, when: string, random: Random, findings: Findings): Promise<void> {
  try {
    const device = await Device.open(
      { stateDirectory: scene.state, drivePaths: [scene.drive], tokenUri: null },
      () => Date.now() + LATER_MS,
    )
    try {
      await device.unlock(scene.code)
      await compare(device.job.store, scene, when, random, findings)
      await goOn(device, scene, when, findings)
    } finally {
      await device.close()
    }
  } catch (error) {
    findings.lost.push(`${when}: ${chainOf(error)}`)
  }
}

async function compare(store: PackStore, { ledger, at }: Scene, when: string, random: Random, findings: Findings) {
  const listed = await listAll(store)
  for (const key of ledger.keys())
    if (!listed.has(key) && ledger.mustBeThere(key, at))
      findings.lost.push(`${when}: ${key} was acknowledged and is gone`)
  for (const each of store.recovered.damage) findings.wrong.push(`${when}: recovery calls it damage: ${each.reason}`)
  // the newest lie where the cut fell
  const names = [...listed]
  const sample = new Set(Array.from({ length: Math.min(SAMPLE, names.length) }, () => random.pick(names)))
  const newest = [...ledger.keys()].filter(key => listed.has(key)).slice(-SAMPLE)
  for (const key of [...sample, ...newest, ...names.filter(each => ledger.versions(each) > 1)]) {
    const found = await store.get('b', key)
    findings.compared++
    const body = found === null ? Buffer.alloc(0) : await readAll(found.body)
    if (!ledger.mayHold(key, body, at))
      findings.wrong.push(`${when}: ${key} is not what was put: ${ledger.describe(key, body, at)}`)
  }
}

export async function listAll(store: PackStore): Promise<Set<string>> {
  const listed = new Set<string>()
  for (let after: string | undefined; ; ) {
    const page = await store.list('b', { prefix: '', limit: 1000, ...(after !== undefined && { after }) })
    for (const { key } of page.objects) listed.add(key)
    if (!page.more) return listed
    after = page.last
  }
}

async function goOn(device: Device, scene: Scene, when: string, findings: Findings): Promise<void> {
  if (scene.sealCode !== null) {
    const kept = JSON.parse(readFileSync(join(scene.drive, 'seal.json'), 'utf8')).code
    if (device.state !== 'sealed' || kept !== scene.sealCode)
      findings.lost.push(`${when}: it was sealed with ${scene.sealCode} and is ${device.state} with ${kept}`)
  }
  if (device.state === 'sealed') await device.reopen()
  const { store } = device.job
  const before = store.totals().objects
  const body = Buffer.from(when)
  await store.put('b', 'after the fault', bytesOf(body), {
    attributes: { headers: {}, metadata: {} },
    finish: () => ({ etag: 'e' }),
  })
  const found = await store.get('b', 'after the fault')
  if (found === null || !(await readAll(found.body)).equals(body))
    findings.wrong.push(`${when}: what was put afterwards does not come back`)
  const sealed = await device.seal()
  if (sealed.checkpoint.objects !== before + 1)
    findings.wrong.push(`${when}: the seal counts ${sealed.checkpoint.objects} objects, wanted ${before + 1}`)
  const report = startReport('manifest', scene.drive)
  const checks = { ca: null, sealCode: sealed.code, deep: true, progress: () => SILENT }
  await checkDrive(scene.drive, checks, report)
  for (const { where, message } of report.faults) findings.wrong.push(`${when}: sealift-verify: ${where}: ${message}`)
}

function chainOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message} <- ${chainOf(error.cause)}`
}

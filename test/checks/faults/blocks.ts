import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startAgent } from '../../agent/agent.ts'
import { command, credentialsOf } from '../../agent/killing.ts'
import { type Prepared, prepareDevice } from '../../agent/prepared.ts'
import { s3Client } from '../../s3-client.ts'
import { copyImage, makeFileSystem, mountImage, recordWrites } from './block-device.ts'
import { Cutter } from './cut.ts'
import { judge } from './judge.ts'
import { Ledger } from './ledger.ts'
import { type Random, seeded } from './random.ts'
import { count, type Findings, newFindings } from './report.ts'
import { copyTree, putAgain, putNew, putParts, type Workload } from './workload.ts'
import { type LogEntry, readWriteLog } from './write-log.ts'

const MEBIBYTES = 192
const WRITERS = 4
const AT_ONCE = 2
/** Both ways of ext4 to order a file's content and its name. */
const MOUNTS = ['data=ordered', 'data=writeback']

type Seal = { code: string; told: number; takenBack: number }
type Recording = { prepared: Prepared; ledger: Ledger; seals: Seal[]; end: number; entries: LogEntry[] }

/** A device whose every write to its medium is recorded; then the power is cut at `cuts` points of that record. */
export async function checkBlocks(cuts: number, seed: number, say: (text: string) => void): Promise<Findings> {
  const findings = newFindings()
  for (const options of MOUNTS) {
    const directory = mkdtempSync(join(tmpdir(), 'sealift-blocks-'))
    try {
      const recording = await record(directory, options, seeded(seed, `record ${options}`))
      const random = seeded(seed, `cut ${options}`)
      await cutAll(directory, options, recording, Math.ceil(cuts / MOUNTS.length), random, findings, say)
      findings.acknowledged += recording.ledger.acknowledged
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }
  return findings
}

/** State directory and drive lie on the recorded medium: a power cut hits both. */
async function record(directory: string, options: string, random: Random): Promise<Recording> {
  const path = join(directory, 'medium')
  const disk = join(directory, 'disk.img')
  makeFileSystem(disk, MEBIBYTES)
  const first = mountImage(disk, path, options)
  const prepared = await prepareDevice({ mode: 'readable', limits: { objects: 25 }, directory: path })
  await first.unmount()
  copyImage(disk, join(directory, 'base.img'))
  const recorder = await recordWrites(directory, disk)
  try {
    const medium = mountImage(recorder.image, path, options)
    try {
      const { ledger, seals } = await work(prepared, recorder.position, random)
      const end = recorder.position()
      await medium.unmount()
      await recorder.stop()
      return { prepared, ledger, seals, end, entries: readWriteLog(recorder.log) }
    } finally {
      for (const child of prepared.running) child.kill('SIGKILL')
      await medium.unmount()
    }
  } finally {
    await recorder.stop()
    await prepared.provider.close()
  }
}

/** PUTs, overwrites, deletes, multipart, copies, epochs' ends, a seal and a reopening; the agent is killed at the end. */
async function work(prepared: Prepared, position: () => number, random: Random) {
  const ledger = new Ledger()
  const agent = await startAgent(prepared)
  const client = s3Client(agent.url, await credentialsOf(prepared))
  const scene: Workload = { prepared, client, ledger, position, refused: () => undefined }
  const seals: Seal[] = []
  const write = async (name: string, milliseconds: number): Promise<void> => {
    let over = false
    const stopped = (): boolean => over
    const all = Array.from({ length: WRITERS }, (_, at) => putNew(scene, `${name}-w${at}`, stopped))
    all.push(putAgain(scene, 'again', stopped))
    await copyTree(scene, `${name}-copy`)
    await putParts(scene, `${name}-parts`)
    await delay(milliseconds)
    over = true
    await Promise.all(all)
  }
  await write('a', random.between(1200, 1800))
  const { code } = (await command(prepared, 'seal')) as { code: string }
  const seal = { code, told: position(), takenBack: 0 }
  await delay(100)
  seal.takenBack = position()
  seals.push(seal)
  await command(prepared, 'reopen')
  await write('b', random.between(600, 900))
  await command(prepared, 'end-epoch')
  await write('c', random.between(600, 900))
  await agent.kill()
  client.close()
  return { ledger, seals }
}

async function cutAll(
  directory: string,
  options: string,
  { prepared, ledger, seals, end, entries }: Recording,
  cuts: number,
  random: Random,
  findings: Findings,
  say: (text: string) => void,
): Promise<void> {
  const last = entries.findIndex(each => each.start >= end)
  const points = choose(entries.slice(0, last < 0 ? entries.length : last), cuts, random)
  count(findings, 'writes recorded', entries.filter(each => each.kind === 'write').length)
  count(findings, 'flushes recorded', entries.filter(each => each.kind === 'flush').length)
  const base = join(directory, 'base.img')
  const cutter = new Cutter(entries, join(directory, 'writes.log'), base)
  const busy = new Set<Promise<void>>()
  const place = {
    state: relative(join(directory, 'medium'), prepared.state),
    drive: relative(join(directory, 'medium'), prepared.drive),
  }
  try {
    for (const [number, at] of points.entries()) {
      const image = join(directory, `cut-${number}.img`)
      cutter.settle(at)
      copyImage(base, image)
      const cut = cutter.scatter(at, image, random)
      count(findings, 'power cuts')
      count(findings, 'unflushed writes dropped', cut.dropped)
      count(findings, 'torn', cut.torn)
      const before = entries[at - 1]
      const position = before === undefined ? 0 : before.data + (before.kind === 'write' ? before.bytes : 0)
      const when = `${options}, cut ${number} after ${at} entries`
      const one = (async () => {
        const mount = join(directory, `mount-${number}`)
        mkdirSync(mount)
        try {
          const medium = mountImage(image, mount, options)
          const sealed = seals.find(each => each.told <= position && position < each.takenBack)
          const scene = {
            state: join(mount, place.state),
            drive: join(mount, place.drive),
            code: prepared.code,
            ledger,
            at: position,
            sealCode: sealed?.code ?? null,
          }
          await judge(scene, when, random, findings)
          await medium.unmount()
        } catch (error) {
          findings.lost.push(`${when}: ${error instanceof Error ? error.message : error}`)
        }
        rmSync(image)
      })()
      busy.add(one)
      void one.finally(() => busy.delete(one))
      if (busy.size >= AT_ONCE) await Promise.race(busy)
      if (number % 50 === 49) say(`${options}: ${number + 1} of ${points.length} cuts`)
    }
    await Promise.all(busy)
  } finally {
    await Promise.allSettled(busy)
    cutter.close()
  }
}

/** Half of them anywhere, half right before a flush, where most is under way. Ascending. */
function choose(entries: LogEntry[], cuts: number, random: Random): number[] {
  const flushes = entries.flatMap((each, index) => (each.kind === 'flush' ? [index] : []))
  const points = Array.from({ length: cuts }, (_, at) =>
    at % 2 === 0 ? random.between(0, entries.length + 1) : random.pick(flushes),
  )
  return points.sort((a, b) => a - b)
}

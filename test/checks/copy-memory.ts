/** What `copy` of many small files costs in memory: the peak of the sum of PSS over the agent and all its children. */

import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sealift, startAgent } from '../agent/agent.ts'
import { prepareDevice } from '../agent/prepared.ts'

export type MemoryOutcome = {
  files: number
  peakBytes: number
  baseBytes: number
  seconds: number
  tokenOperations: number
  sealSeconds: number
  objects: number
}

/** Copies `files` files of `bytes` bytes through a running agent, then seals. */
export async function measureCopy(files: number, bytes: number): Promise<MemoryOutcome> {
  const device = await prepareDevice()
  try {
    const source = join(device.root, 'source')
    for (let at = 0; at < files; at++) {
      const folder = join(source, `d${Math.floor(at / 1000)}`)
      if (at % 1000 === 0) mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, `f${at}`), randomBytes(bytes))
    }
    const agent = await startAgent(device)
    const pid = agent.process.pid ?? 0
    const base = pssOfTree(pid)
    let peak = base
    const watch = setInterval(() => {
      peak = Math.max(peak, pssOfTree(pid))
    }, 200)
    try {
      const copied = await sealift(device, ['--json', 'copy', source, 's3://photos/x'])
      if (copied.code !== 0) throw new Error(copied.stderr)
      const { files: done, elapsedSeconds } = JSON.parse(copied.stdout)
      const status = JSON.parse((await sealift(device, ['--json', 'status'])).stdout)
      const before = performance.now()
      const sealed = JSON.parse((await sealift(device, ['--json', 'seal'])).stdout)
      const sealSeconds = (performance.now() - before) / 1000
      return {
        files: done,
        peakBytes: peak,
        baseBytes: base,
        seconds: elapsedSeconds,
        tokenOperations: status.tokenOperations,
        sealSeconds,
        objects: sealed.objects,
      }
    } finally {
      clearInterval(watch)
      await agent.stop()
    }
  } finally {
    await device.remove()
    rmSync(device.root, { recursive: true, force: true })
  }
}

/** Proportional set size of a process and its descendants; shared pages count once in all. */
export function pssOfTree(pid: number): number {
  let sum = 0
  try {
    const found = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))
    sum += Number(found?.[1] ?? 0) * 1024
    for (const task of readdirSync(`/proc/${pid}/task`))
      for (const child of readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' '))
        if (child.trim() !== '') sum += pssOfTree(Number(child))
  } catch (error) {
    // a process that ended while it was looked at
    if (!(error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH'))) throw error
  }
  return sum
}

/** Where our process spends its time: V8's own profiles of every thread, by subject. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CpuProfile, subjectsOf, topFrames } from './frames.ts'

const TOP = 25

let directory: string | null = null

/** From here on agents are started under the profiler; each of their threads writes a profile there when it ends. */
export function profileInto(path: string): void {
  directory = path
}

/** Environment of an agent that is started now. */
export function profiling(): Record<string, string> {
  return directory === null ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${directory}` }
}

/** What the profiles since `profileInto` say, thread by thread. */
export function printProfile(say: (line: string) => void): void {
  if (directory === null) return
  for (const name of readdirSync(directory).sort()) {
    const profile = JSON.parse(readFileSync(join(directory, name), 'utf8')) as CpuProfile
    const { busyMs, wallMs, subjects } = subjectsOf(profile)
    const [, pid, thread] = /\.(\d+)\.(\d+)\.\d+\.cpuprofile$/.exec(name) ?? []
    say(`\nprocess ${pid}, thread ${thread}: busy ${seconds(busyMs)} of ${seconds(wallMs)}`)
    for (const [subject, ms] of subjects) say(`  ${subject.padEnd(16)} ${share(ms, busyMs)}  ${seconds(ms)}`)
    say(`  most time of their own:`)
    for (const { frame, ms } of topFrames(profile, TOP)) say(`  ${share(ms, busyMs)}  ${frame}`)
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`
const share = (ms: number, of: number): string => `${((100 * ms) / (of || 1)).toFixed(1).padStart(5)} %`

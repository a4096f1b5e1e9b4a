/** Where our process spends its time: V8's own profiles of every thread, by subject. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CpuProfile, subjectsOf, topFrames } from './frames.ts'

const TOP = 25

let directory: string | null = null
/** by process, ms */
const times = new Map<number, { user: number; system: number }>()

/** From here on agents are started under the profiler; each of their threads writes a profile there when it ends. */
export function profileInto(path: string): void {
  directory = path
  times.clear()
}

/** Environment of an agent that is started now. */
export function profiling(): Record<string, string> {
  return directory === null ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${directory}` }
}

/** Notes what a process that is about to end has used of the processors. */
export function noteTimes(pid: number): void {
  if (directory === null) return
  // after the name, which may hold anything: fields 14 and 15 of proc(5), in ticks of 10 ms
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  times.set(pid, { user: Number(fields[11]) * 10, system: Number(fields[12]) * 10 })
}

/** What the profiles since `profileInto` say, thread by thread. */
export function printProfile(say: (line: string) => void): void {
  if (directory === null) return
  for (const [pid, { user, system }] of times)
    say(`process ${pid}: ${seconds(user)} in user mode, ${seconds(system)} in the kernel, all threads`)
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

/** Reads a V8 CPU profile. Pure. */
export type CpuProfile = {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number }; children?: number[] }[]
  samples: number[]
  /** µs before each sample */
  timeDeltas: number[]
}
export type Subjects = { busyMs: number; wallMs: number; subjects: [string, number][] }

/** First match wins. Looked for in `function url`; a native call has no address and counts for the nearest caller that has one. */
const SUBJECTS: readonly (readonly [string, RegExp])[] = [
  [
    'hashing',
    /internal\/crypto\/hash|blake-hash|hash-wasm|format\/(digest|merkle)\.ts|store\/s3\/checksum\.ts|node-rs\/crc32/,
  ],
  ['crypto', /internal\/crypto\/|format\/(floe|kdf|hpke|epoch-key|wrap-suite|random)\.ts/],
  [
    'index',
    /better-sqlite3|store\/(sqlite-index|indexed-store|memory-index|record)\.ts|store\/pack\/(rows|changes|pack-rows|upload-rows)\.ts/,
  ],
  [
    'disk',
    /node:internal\/fs|node:fs|fs\/promises|store\/pack\/(pack-writer|pack-set|drive)\.ts|store\/durable\.ts|agent\/copy\/source\.ts/,
  ],
  ['token', /hsm\//],
  [
    'http',
    /node:_?http|node:internal\/http|node:net|node:tls|internal\/stream_base|internal\/streams|node:stream|store\/s3\/|access\//,
  ],
  ['format', /\/format\/|cborg/],
  ['threads', /worker_threads|internal\/worker|internal\/per_context\/messageport/],
  ['ours, other', /\/(agent|store|provision)\//],
]
const IDLE = '(idle)'

/** Milliseconds by subject, the largest first; idle time left out of `busyMs`. */
export function subjectsOf(profile: CpuProfile): Subjects {
  const sums = new Map<string, number>()
  const subjectAt = new Map<number, string>()
  const parents = parentsOf(profile)
  const nodes = new Map(profile.nodes.map(node => [node.id, node]))
  const subject = (id: number): string => {
    const known = subjectAt.get(id)
    if (known !== undefined) return known
    const frame = nodes.get(id)?.callFrame
    const parent = parents.get(id)
    const named = frame === undefined ? 'other' : subjectOfFrame(frame.functionName, frame.url)
    const found = named ?? (parent === undefined ? 'other' : subject(parent))
    subjectAt.set(id, found)
    return found
  }
  let wall = 0
  profile.samples.forEach((id, at) => {
    const ms = Math.max(0, profile.timeDeltas[at] ?? 0) / 1000
    wall += ms
    sums.set(subject(id), (sums.get(subject(id)) ?? 0) + ms)
  })
  const idle = sums.get(IDLE) ?? 0
  sums.delete(IDLE)
  return { busyMs: wall - idle, wallMs: wall, subjects: [...sums].sort(([, a], [, b]) => b - a) }
}

/** null: the caller's. */
export function subjectOfFrame(name: string, url: string): string | null {
  if (name === IDLE) return IDLE
  if (name === '(garbage collector)') return 'gc'
  if (name === '(program)') return 'native, no frame'
  if (name === '(root)') return 'other'
  const found = SUBJECTS.find(([, pattern]) => pattern.test(`${name} ${url}`))
  if (found !== undefined) return found[0]
  return url === '' || url.startsWith('node:') ? null : 'other'
}

function parentsOf(profile: CpuProfile): Map<number, number> {
  return new Map(profile.nodes.flatMap(({ id, children }) => (children ?? []).map(child => [child, id] as const)))
}

/** Frames by their own time, the same function counted once. */
export function topFrames(profile: CpuProfile, count: number): { frame: string; ms: number }[] {
  const names = new Map(
    profile.nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => [
      id,
      `${functionName || '(anonymous)'} ${url.split('/').slice(-3).join('/')}${url === '' ? '' : `:${lineNumber + 1}`}`,
    ]),
  )
  const sums = new Map<string, number>()
  profile.samples.forEach((id, at) => {
    const name = names.get(id) ?? ''
    sums.set(name, (sums.get(name) ?? 0) + Math.max(0, profile.timeDeltas[at] ?? 0) / 1000)
  })
  return [...sums]
    .filter(([name]) => name.trim() !== IDLE)
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([frame, ms]) => ({ frame, ms }))
}

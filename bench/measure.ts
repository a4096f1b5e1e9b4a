/** What a measure is, how its rounds are judged, and its line of JSON. Pure. */

/** What has to hold for `met`. All of it: a ratio to each named peer, and a bound on our own figure. */
export type Target = {
  text: string
  /** peer to the least ratio of our rate to its rate */
  ratios?: Readonly<Record<string, number>>
  /** bounds on our own median, in the measure's unit */
  atMost?: number
  atLeast?: number
  /** of what is counted once and not timed: one round is enough */
  counted?: true
}
/** Per contender one value a round, in the measure's unit; peers' are rates: more is better. */
export type Rounds = { ours: readonly number[]; peers: Readonly<Record<string, readonly number[]>> }
export type Extra = {
  /** why a target that the figures meet is not met all the same */
  unmet?: readonly string[]
  detail?: Readonly<Record<string, unknown>>
}
export type Row = {
  measure: string
  unit: string
  ours: number | null
  peers: Record<string, number>
  ratio: Record<string, number>
  target: string
  met: boolean
  /** (largest - smallest) / median, by contender */
  spread: Record<string, number>
  /** peers that the target names and that are not there */
  missing?: string[]
  /** peers whose rounds differ too much for a ratio to mean anything; `values` has all of them */
  noisy?: string[]
  unmet?: string[]
  values: Record<string, readonly number[]>
  detail?: Readonly<Record<string, unknown>>
}

/** A peer whose rounds differ by more than this part of their median makes a row noisy. */
const NOISY_SPREAD = 0.3
/** Fewer rounds than this are a look, not a measurement. */
const LEAST_ROUNDS = 3

export function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length / 2
  const [low, high] = [sorted[Math.ceil(half) - 1], sorted[Math.floor(half)]]
  return low === undefined || high === undefined ? null : (low + high) / 2
}

export function spreadOf(values: readonly number[]): number {
  const middle = median(values)
  return middle === null || middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle
}

/** Peers of the target whose rounds differ too much. */
export function noisyPeers(target: Target, rounds: Rounds): string[] {
  return Object.keys(target.ratios ?? {}).filter(name => spreadOf(rounds.peers[name] ?? []) > NOISY_SPREAD)
}

export function judge(measure: string, unit: string, target: Target, rounds: Rounds, extra: Extra = {}): Row {
  const peers = Object.entries(rounds.peers).filter(([, values]) => values.length > 0)
  const middles = new Map(peers.map(([name, values]) => [name, median(values) ?? 0]))
  const ours = median(rounds.ours)
  const ratios = new Map([...middles].map(([name, value]) => [name, ours === null || value === 0 ? 0 : ours / value]))
  const missing = Object.keys(target.ratios ?? {}).filter(name => !middles.has(name))
  const noisy = noisyPeers(target, rounds)
  const unmet = [...(extra.unmet ?? [])]
  if (ours !== null && target.counted === undefined && rounds.ours.length < LEAST_ROUNDS)
    unmet.push(`${rounds.ours.length} rounds; at least ${LEAST_ROUNDS} are wanted`)
  const held =
    ours !== null &&
    Object.entries(target.ratios ?? {}).every(([name, least]) => (ratios.get(name) ?? 0) >= least) &&
    (target.atMost === undefined || ours <= target.atMost) &&
    (target.atLeast === undefined || ours >= target.atLeast)
  return {
    measure,
    unit,
    ours: ours === null ? null : rounded(ours),
    peers: mapped(middles),
    ratio: mapped(ratios),
    target: target.text,
    met: held && missing.length === 0 && noisy.length === 0 && unmet.length === 0,
    spread: mapped(new Map([['ours', spreadOf(rounds.ours)], ...peers.map(spreadEntry)])),
    ...(missing.length > 0 && { missing }),
    ...(noisy.length > 0 && { noisy }),
    ...(unmet.length > 0 && { unmet }),
    values: Object.fromEntries([['ours', rounds.ours.map(rounded)], ...peers.map(([n, v]) => [n, v.map(rounded)])]),
    ...(extra.detail !== undefined && { detail: extra.detail }),
  }
}

const spreadEntry = ([name, values]: readonly [string, readonly number[]]): [string, number] => [name, spreadOf(values)]
const mapped = (values: ReadonlyMap<string, number>): Record<string, number> =>
  Object.fromEntries([...values].map(([name, value]) => [name, rounded(value)]))

/** Four digits that count. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4))
}

/** One line, without its end. */
export function jsonLine(row: Row, versions: Record<string, string>, machine: Record<string, unknown>): string {
  const { measure, unit, ours, peers, ratio, target, met, spread, ...rest } = row
  return JSON.stringify({ measure, unit, ours, peers, ratio, target, met, spread, versions, machine, ...rest })
}

/** For people: a row a measure. */
export function tableLines(rows: readonly Row[]): string[] {
  const cells = rows.map(row => [
    row.measure,
    row.ours === null ? '-' : String(row.ours),
    row.unit,
    Object.entries(row.peers)
      .map(([name, value]) => `${name} ${value} (${row.ratio[name]} x)`)
      .join(' · ') || '-',
    row.target,
    row.met ? 'met' : verdict(row),
  ])
  const lines = [['measure', 'ours', 'unit', 'peers (ours / peer)', 'target', ''], ...cells]
  const widths = lines[0]?.map((_, at) => Math.max(...lines.map(line => line[at]?.length ?? 0))) ?? []
  return lines.map(line =>
    line
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

function verdict(row: Row): string {
  if (row.missing !== undefined) return `not met: missing ${row.missing.join(', ')}`
  if (row.noisy !== undefined) return `not met: noisy ${row.noisy.join(', ')}`
  return row.unmet === undefined ? 'not met' : `not met: ${row.unmet.join('; ')}`
}

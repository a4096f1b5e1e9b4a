/** What one part of `check:faults` tried and found. */
export type PartReport = {
  part: string
  /** what was done to it, and how often */
  tried: Record<string, number>
  /** objects that a client was told are safe */
  acknowledged: number
  /** bodies read back and compared */
  compared: number
  /** acknowledged and not there */
  lost: string[]
  /** there, and not what was put; or an outcome that is neither */
  wrong: string[]
  seconds: number
}

export type Findings = Omit<PartReport, 'part' | 'seconds'>

export function newFindings(): Findings {
  return { tried: {}, acknowledged: 0, compared: 0, lost: [], wrong: [] }
}

export function count(findings: Findings, what: string, times = 1): void {
  findings.tried[what] = (findings.tried[what] ?? 0) + times
}

export function partLines(report: PartReport): string[] {
  const tried = Object.entries(report.tried).map(([what, times]) => `${times.toLocaleString('en-US')} ${what}`)
  return [
    `${report.part}: ${tried.join(', ')}; ${report.acknowledged.toLocaleString('en-US')} acknowledged, ` +
      `${report.compared.toLocaleString('en-US')} bodies compared, ${report.seconds.toFixed(0)} s`,
    ...report.lost.slice(0, 20).map(each => `  LOST  ${each}`),
    ...report.wrong.slice(0, 20).map(each => `  WRONG ${each}`),
  ]
}

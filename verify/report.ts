import { FormatError, type FormatFault } from '../format/fault.ts'

/** What a check came to. `faults` empty: all that was checked holds. */
export type Report = {
  check: 'manifest' | 'proof' | 'receipts' | 'custody' | 'destruction'
  subject: string
  /** what was learned, in the order of the lines on paper */
  found: Record<string, string | number | boolean>
  faults: { where: string; fault: FormatFault; message: string }[]
  /** what was not checked, and what would make it so */
  notes: string[]
}

export function startReport(check: Report['check'], subject: string): Report {
  return { check, subject, found: {}, faults: [], notes: [] }
}

/** Runs a step; what it finds wrong goes to the report and the next step goes on. @returns null when it failed */
export async function step<T>(report: Report, where: string, run: () => T | Promise<T>): Promise<T | null> {
  try {
    return await run()
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    report.faults.push({ where, fault: error.fault, message: error.message })
    return null
  }
}

export function add(report: Report, where: string, fault: FormatFault, message: string): void {
  report.faults.push({ where, fault, message })
}

/** Lines for people. Control characters of what was found are shown as escapes. */
export function reportLines(report: Report): string[] {
  const shown = (value: string | number | boolean): string =>
    typeof value === 'string'
      ? value.replace(/\p{C}/gu, each => `\\u${(each.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`)
      : String(value)
  const width = Math.max(0, ...Object.keys(report.found).map(name => name.length))
  return [
    `${report.check} ${shown(report.subject)}`,
    ...Object.entries(report.found).map(([name, value]) => `  ${name.padEnd(width)}  ${shown(value)}`),
    ...report.notes.map(note => `  note: ${shown(note)}`),
    ...report.faults.map(each => `  FAULT (${each.fault}) ${shown(each.where)}: ${shown(each.message)}`),
    report.faults.length === 0 ? 'ok' : `NOT OK: ${report.faults.length} fault${report.faults.length === 1 ? '' : 's'}`,
  ]
}

export function reportJson(report: Report): string {
  return JSON.stringify({ ok: report.faults.length === 0, ...report })
}

import { type ClientReport, verbs } from './client.ts'

/** Clients by rows, verbs by columns. */
export function clientTable(reports: readonly ClientReport[]): string {
  const names = [...new Set(reports.map(report => `${report.label}: ${report.client}`))]
  const width = Math.max(...names.map(name => name.length))
  const marks = { ok: 'ok', failed: 'FAILED', 'no such verb': '-' }
  const rows = names.map(name => {
    const cells = verbs.map(verb => {
      const report = reports.find(item => `${item.label}: ${item.client}` === name && item.verb === verb)
      return (report ? marks[report.outcome] : '').padEnd(Math.max(verb.length, 6))
    })
    return [name.padEnd(width), ...cells].join('  ')
  })
  return [[' '.repeat(width), ...verbs.map(verb => verb.padEnd(6))].join('  '), ...rows].join('\n')
}

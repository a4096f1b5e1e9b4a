import { type Findings, newFindings } from './report.ts'
import { stepThrough } from './stepping.ts'

/** Every write, sync and change of a name fails once, on the drive and in the state directory. */
export async function checkEio(): Promise<Findings> {
  const findings = newFindings()
  for (const where of ['drive', 'state'] as const)
    await stepThrough({ findings, where, error: 'EIO', which: 'once', wanted: /medium|drive|index/ })
  return findings
}

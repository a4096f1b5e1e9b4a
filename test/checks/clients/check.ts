import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { awsCli } from './aws.ts'
import { boto3 } from './boto3.ts'
import { type ClientReport, type ClientTarget, verbs } from './client.ts'
import { rclone } from './rclone.ts'
import { s3cmd } from './s3cmd.ts'
import { sdk } from './sdk.ts'

/** One row a client and verb. */
export async function checkClients(target: ClientTarget): Promise<ClientReport[]> {
  const home = mkdtempSync(join(tmpdir(), 'sealift-clients-'))
  const reports: ClientReport[] = []
  try {
    for (const client of [
      awsCli(target, home),
      s3cmd(target, home),
      rclone(target, home),
      sdk(target),
      boto3(target, home),
    ]) {
      for (const verb of verbs) {
        const run = client.run[verb]
        const row = { label: target.label, client: client.name, verb }
        if (!run) {
          reports.push({ ...row, outcome: 'no such verb', detail: '' })
          continue
        }
        try {
          await run()
          reports.push({ ...row, outcome: 'ok', detail: '' })
        } catch (error) {
          reports.push({ ...row, outcome: 'failed', detail: error instanceof Error ? error.message : String(error) })
        }
      }
    }
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
  return reports
}

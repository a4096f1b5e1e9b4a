import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CopyResult } from '../../../agent/copy/report.ts'
import { startAgent } from '../../agent/agent.ts'
import { command, credentialsOf } from '../../agent/killing.ts'
import type { Prepared } from '../../agent/prepared.ts'
import { type Answer, type S3Client, s3Client } from '../../s3-client.ts'
import { contentOf, type Ledger } from './ledger.ts'

const COPIED_FILES = 10
const PART_BYTES = 5 << 20

export type Workload = {
  prepared: Prepared
  client: S3Client
  ledger: Ledger
  /** what an acknowledgement is noted with, asked for the moment it has come */
  position: () => number
  /** every answer that was not a success */
  refused: (answer: Answer) => void
}

/** New keys, one after another, until `stopped` says so or the agent is gone. */
export async function putNew(work: Workload, name: string, stopped: () => boolean): Promise<void> {
  for (let at = 0; !stopped(); at++) if (!(await put(work, `${name}-${at}`))) return
}

/** The same few keys over and over, deleted now and then. */
export async function putAgain(work: Workload, name: string, stopped: () => boolean): Promise<void> {
  for (let at = 0; !stopped(); at++) {
    const key = `${name}-${at % 3}`
    if (!(at % 7 === 6 ? await remove(work, key) : await put(work, key))) return
  }
}

/** @returns false: the agent is gone */
export async function put(work: Workload, key: string): Promise<boolean> {
  const content = contentOf(key, work.ledger.versions(key) + 1)
  return tell(
    work,
    work.ledger.begin(key, () => content),
    () => work.client.put('b', key, content),
  )
}

async function remove(work: Workload, key: string): Promise<boolean> {
  return tell(work, work.ledger.begin(key, null), () => work.client.send('DELETE', `/b/${key}`))
}

async function tell(work: Workload, acknowledge: (at: number) => void, ask: () => Promise<Answer>): Promise<boolean> {
  try {
    const answer = await ask()
    if (answer.status >= 200 && answer.status < 300) acknowledge(work.position())
    else work.refused(answer)
    return true
  } catch {
    return false
  }
}

/** An object of two parts. */
export async function putParts(work: Workload, key: string): Promise<boolean> {
  const content = Buffer.concat([Buffer.alloc(PART_BYTES, contentOf(`${key}/seed`, 1, 256)), contentOf(key)])
  const path = `/b/${key}`
  const acknowledge = work.ledger.begin(key, () => content)
  return tell(work, acknowledge, async () => {
    const begun = await work.client.send('POST', path, { query: 'uploads=' })
    const id = /<UploadId>([^<]+)</.exec(begun.body.toString())?.[1]
    if (id === undefined) return begun
    const parts: string[] = []
    for (const [at, body] of [content.subarray(0, PART_BYTES), content.subarray(PART_BYTES)].entries()) {
      const sent = await work.client.send('PUT', path, { query: `partNumber=${at + 1}&uploadId=${id}`, body })
      if (sent.status !== 200) return sent
      parts.push(`<Part><PartNumber>${at + 1}</PartNumber><ETag>${sent.headers.etag ?? ''}</ETag></Part>`)
    }
    const body = Buffer.from(`<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`)
    const done = await work.client.send('POST', path, { query: `uploadId=${id}`, body })
    // S3 may say an error under a 200
    return done.body.includes('<Error>') ? { ...done, status: 500 } : done
  })
}

/** `copy` of a small tree. @returns false: the agent is gone, or refused it */
export async function copyTree(work: Workload, prefix: string): Promise<boolean> {
  const source = join(work.prepared.root, 'source')
  rmSync(source, { recursive: true, force: true })
  mkdirSync(source)
  const told = Array.from({ length: COPIED_FILES }, (_, at) => {
    const key = `${prefix}/f${at}`
    writeFileSync(join(source, `f${at}`), contentOf(key))
    return work.ledger.begin(key, () => contentOf(key))
  })
  try {
    const { files, failed } = (await command(work.prepared, 'copy', { source, bucket: 'b', prefix })) as CopyResult
    if (files !== COPIED_FILES || failed !== 0) return false
    const at = work.position()
    for (const acknowledge of told) acknowledge(at)
    return true
  } catch {
    return false
  }
}

/** An agent at work on a device, what it refuses gathered word for word. */
export async function openWork(prepared: Prepared, ledger: Ledger) {
  const agent = await startAgent(prepared)
  const client = s3Client(agent.url, await credentialsOf(prepared))
  const refused: string[] = []
  const work: Workload = {
    prepared,
    client,
    ledger,
    position: () => 0,
    refused: answer => void refused.push(`${answer.status} ${answer.body.toString()}`),
  }
  return { agent, client, refused, work }
}

/**
 * One ACL over everything that came by drive: a crew's list is an object; a job is ordered under it; one PUT lets a reader in everywhere,
 * another puts him out. Real processes, a real token on each side.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { policy } from '../provision/acl/world.ts'
import { ask, type Service, serve } from '../quickstart/commands.ts'
import { type Answer, type S3Client, s3Client } from '../s3-client.ts'

export type Scene = {
  objects: number
  /** times of the two edits, in ms */
  editMs: [letIn: number, putOut: number]
  /** what did not go as it should */
  misses: string[]
}

type Made = { id: string; accessKey: string; secretKey: string }
type Report = { outcome: string; counts: { stored: number; held: number } }

const LIST = '/lift/acls/crew'
const ACL_TYPE = 'application/vnd.storage.acl+xml'
const FILES_A_DIRECTORY = 1000
const SIDE_BY_SIDE = 16

/** @param objects - how many refer to the list */
export async function tellNamedAcl(objects: number, say: (line: string) => void): Promise<Scene> {
  const root = mkdtempSync(join(tmpdir(), 'sealift-scene-'))
  const state = join(root, 'provider')
  const provider = <T>(...args: string[]): Promise<T> => ask<T>('sealift-provider', ['--state', state, ...args])
  const misses: string[] = []
  const expect = (what: string, found: unknown, wanted: unknown): void => {
    if (found !== wanted) misses.push(`${what}: ${found}, wanted ${wanted}`)
  }
  await provider('init')
  const service = await serve<{ roles: { name: string; address: string }[] }>('sealift-provider', [
    ...['--state', state],
    ...['serve', '--listen', '127.0.0.1:0'],
  ])
  try {
    const url = service.ready.roles.find(role => role.name === 'hosted')?.address ?? ''
    const someone = async (name: string): Promise<Made> => {
      const { id } = await provider<{ id: string }>('account', 'create', name)
      const made = await provider<{ accessKey: string; secret: string }>('access-key', 'create', name)
      return { id, accessKey: made.accessKey, secretKey: made.secret }
    }
    const owner = await someone('owner')
    const crew = await someone('crew')
    const [mine, theirs] = [s3Client(url, owner), s3Client(url, crew)]
    const write = async (grants: string[]): Promise<number> => {
      const body = Buffer.from(policy(grants))
      const started = performance.now()
      const { status } = await mine.send('PUT', LIST, { body, headers: { 'content-type': ACL_TYPE }, signed: true })
      expect('PUT of the list', status, 200)
      return performance.now() - started
    }

    say('The owner writes the crew’s list, which names nobody yet; a job is ordered under it')
    expect('PUT of the bucket', (await mine.send('PUT', '/lift')).status, 200)
    await write([`${owner.id}=FULL_CONTROL`])
    const under = ['--acl', 'lift/acls/crew', '--acl-mode', 'reference']
    const { job } = await provider<{ job: string }>(
      ...['job', 'create', '--account', 'owner', '--bucket', 'lift', ...under],
    )

    say(`A drive of ${objects} objects is filled, sealed and taken in`)
    const stored = await travel(root, job, objects, provider)
    expect('objects stored', stored, objects)
    const { body } = await mine.send('GET', LIST, { query: 'referrers&max-keys=1' })
    expect('objects that refer to the list', /<Count>(\d+)</.exec(body.toString())?.[1], String(objects))

    say('The crew is refused, all over')
    expect('refused before', await count(theirs, objects, refused), objects)

    say('One PUT to the list, and the crew reads everything')
    const letIn = await write([`${owner.id}=FULL_CONTROL`, `${crew.id}=READ`])
    expect('read after the first edit', await count(theirs, objects, readRight), objects)

    say('Another PUT, and it is refused again')
    const putOut = await write([`${owner.id}=FULL_CONTROL`])
    expect('refused after the second edit', await count(theirs, objects, refused), objects)
    expect('read by the owner', await count(mine, objects, readRight), objects)

    say('The store is made to lie: its own tables say that everybody may read. The keystore does not')
    lie(join(state, 'hosted', 'hosted.sqlite'))
    expect('refused by the keystore', await count(theirs, Math.min(objects, 1000), refused), Math.min(objects, 1000))
    for (const client of [mine, theirs]) client.close()
    return { objects, editMs: [letIn, putOut], misses }
  } finally {
    await service.stop()
    rmSync(root, { recursive: true, force: true })
  }
}

const keyOf = (at: number): string => `d${Math.floor(at / FILES_A_DIRECTORY)}/${at}`
const textOf = (at: number): string => `object ${at} of the scene`

/** @returns how many were stored */
async function travel(
  root: string,
  job: string,
  objects: number,
  provider: <T>(...args: string[]) => Promise<T>,
): Promise<number> {
  const source = join(root, 'source')
  for (let at = 0; at < objects; at++) {
    if (at % FILES_A_DIRECTORY === 0) mkdirSync(join(source, keyOf(at), '..'), { recursive: true })
    writeFileSync(join(source, keyOf(at)), textOf(at))
  }
  const [device, drive, code] = [join(root, 'device'), join(root, 'drive'), join(root, 'code')]
  const to = ['--device-state', device, '--drive', drive, '--code-file', code]
  await provider('device', 'prepare', '--job', job, ...to)
  const at = ['--state', device, '--drive', drive]
  const agent: Service<unknown> = await serve(
    'sealift',
    ['--code-fd', '3', ...at, 'serve', '--listen', '127.0.0.1:0'],
    { secret: readFileSync(code, 'utf8').trim() },
  )
  try {
    await ask('sealift', [...at, 'copy', source, 's3://lift'])
    const sealed = await ask<{ code: string }>('sealift', [...at, 'seal'])
    const report = await provider<Report>('intake', drive, '--seal-code', sealed.code)
    return report.outcome === 'complete' ? report.counts.stored : 0
  } finally {
    await agent.stop()
  }
}

async function count(client: S3Client, objects: number, is: (answer: Answer, at: number) => boolean): Promise<number> {
  let next = 0
  let found = 0
  const reader = async (): Promise<void> => {
    for (let at = next++; at < objects; at = next++) if (is(await client.get('lift', keyOf(at)), at)) found++
  }
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, reader))
  return found
}

const refused = ({ status, body }: Answer): boolean =>
  status === 403 && body.toString().includes('<Code>AccessDenied</Code>')
const readRight = ({ status, body }: Answer, at: number): boolean => status === 200 && body.toString() === textOf(at)

function lie(path: string): void {
  const database = new Database(path, { timeout: 5000 })
  const { changes } = database.prepare("UPDATE acl_generations SET acl = 'all=R'").run()
  database.close()
  if (changes === 0) throw new Error('the store has no ACL object to lie about')
}

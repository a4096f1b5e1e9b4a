import { randomBytes } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Credentials } from '../../../access/sign.ts'
import { makeDirectoryDurable, writeFileDurable } from '../../../store/durable.ts'
import { type RemoteBlobs, remoteBlobs } from '../../../store/remote/remote-blobs.ts'
import type { Patience, RemoteSettings } from '../../../store/remote/remote-settings.ts'
import type { Database } from '../../database/hosted-schema.ts'

/** What is the same for all stores elsewhere. */
export type RemoteGround = { directory: string; clock: () => Date; patience?: Patience }

const MIB = 1 << 20
const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost'])
export const remoteSettings = z.strictObject({
  url: z.string().refine(text => {
    const url = URL.parse(text)
    // over plain HTTP anybody on the way could acknowledge what is not kept
    const safe = url?.protocol === 'https:' || (url?.protocol === 'http:' && LOOPBACK.has(url.hostname))
    return safe && text.replace(/\/$/, '') === url?.origin
  }, 'want https://HOST[:PORT] without a path, or http:// on loopback'),
  bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'want the name of a bucket'),
  prefix: z.string().regex(/^[A-Za-z0-9/_.=-]{0,256}$/, 'want letters, digits and /_.=-'),
  region: z.string().regex(/^[A-Za-z0-9-]{1,64}$/, 'want the name of a region'),
  partBytes: z
    .number()
    .int()
    .min(5 * MIB)
    .max(256 * MIB),
  opaqueEtags: z.boolean(),
})

const secrets = z.object({ accessKey: z.string().min(1), secretKey: z.string().min(1), mark: z.string().min(1) })

/** Secrets of a store: beside the tables, 0600, and nowhere else. */
function secretsFile(directory: string, name: string): string {
  return join(directory, 'stores', `${name}.json`)
}

/** Opens all that the tables name. @throws Error - names the one whose secrets are not there */
export async function openRemotes(database: Database, ground: RemoteGround): Promise<Map<string, RemoteBlobs>> {
  const open = new Map<string, RemoteBlobs>()
  for (const { name } of await database.selectFrom('data_stores').select('name').execute()) {
    const store = await openNamed(database, ground, name)
    if (store !== null) open.set(name, store)
  }
  return open
}

/** @returns null: no row names it @throws Error - its secrets are not there */
export async function openNamed(database: Database, ground: RemoteGround, name: string): Promise<RemoteBlobs | null> {
  const row = await database.selectFrom('data_stores').select('settings').where('name', '=', name).executeTakeFirst()
  if (row === undefined) return null
  const held = await readSecrets(ground.directory, name)
  if (held === null) throw new Error(`${secretsFile(ground.directory, name)}: the keys of data store ${name} are gone`)
  return openRemote(ground, name, remoteSettings.parse(JSON.parse(row.settings)), held)
}

export function openRemote(
  { clock, patience }: RemoteGround,
  name: string,
  settings: RemoteSettings,
  { accessKey, secretKey }: Credentials,
): RemoteBlobs {
  const credentials = { accessKey, secretKey }
  return remoteBlobs({ name, settings, credentials, clock, ...(patience && { patience }) })
}

async function readSecrets(directory: string, name: string) {
  const path = secretsFile(directory, name)
  try {
    return secrets.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    // not what it says: it may quote what it read
    throw new Error(`${path}: it does not hold the keys of a data store`)
  }
}

/** @returns the mark: what the prefix is known by, the same again where adding broke off before */
export async function keepSecrets(directory: string, name: string, credentials: Credentials): Promise<string> {
  await makeDirectoryDurable(join(directory, 'stores'), 0o700)
  const mark = (await readSecrets(directory, name))?.mark ?? randomBytes(16).toString('hex')
  const { accessKey, secretKey } = credentials
  const held: z.infer<typeof secrets> = { accessKey, secretKey, mark }
  await writeFileDurable(secretsFile(directory, name), Buffer.from(JSON.stringify(held), 'utf8'), 0o600)
  return mark
}

export async function forgetSecrets(directory: string, name: string): Promise<void> {
  await rm(secretsFile(directory, name), { force: true })
}

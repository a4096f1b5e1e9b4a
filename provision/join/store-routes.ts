import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { StoreDesk } from '../hosted/stores/desk.ts'
import { remoteSettings } from '../hosted/stores/remotes.ts'

/**
 * What an operator asks of the data stores: `GET /stores`; `PUT /stores`, `DELETE /stores`, `POST /stores/check`, `/stores/sweep`,
 * `/stores/drain`; `PUT /placements`, `POST /placements/move`. All with JSON. Keys of a store are read from a file here, and go over no socket.
 */
type Route = (desk: StoreDesk, asked: unknown) => Promise<object>

const name = z.string().max(64)
const bucket = z.string().max(256)
const named = z.strictObject({ name })
const keys = z.object({ accessKey: z.string().min(1).max(256), secretKey: z.string().min(1).max(256) })

const ROUTES: Readonly<Record<string, Route>> = {
  'GET /stores': async desk => ({ stores: await desk.list() }),
  'PUT /stores': async (desk, asked) => {
    const {
      name: added,
      settings,
      credentialsFile,
    } = z.strictObject({ name, settings: remoteSettings, credentialsFile: z.string().startsWith('/') }).parse(asked)
    await desk.add(added, settings, await readKeys(credentialsFile))
    return { added }
  },
  'DELETE /stores': async (desk, asked) => {
    const { name: removed } = named.parse(asked)
    await desk.remove(removed)
    return { removed }
  },
  'POST /stores/check': (desk, asked) => desk.check(named.parse(asked).name),
  'POST /stores/sweep': (desk, asked) => desk.sweep(named.parse(asked).name),
  'POST /stores/drain': async (desk, asked) => {
    const { name: from, to } = named.extend({ to: name }).parse(asked)
    return { blobs: await desk.drain(from, to) }
  },
  'PUT /placements': async (desk, asked) => {
    const { bucket: placed, ...placement } = z
      .strictObject({ bucket, store: name, inlineMax: z.number().int().min(0) })
      .parse(asked)
    await desk.place(placed, placement)
    return { bucket: placed, ...placement }
  },
  'POST /placements/move': async (desk, asked) => ({
    blobs: await desk.moveBucket(z.strictObject({ bucket }).parse(asked).bucket),
  }),
}

/** `METHOD /path`; null: it is none of these. */
export function storeRoute(line: string): Route | null {
  return Object.hasOwn(ROUTES, line) ? (ROUTES[line] ?? null) : null
}

/** @throws RangeError - without a word of what the file holds */
async function readKeys(path: string): Promise<z.infer<typeof keys>> {
  let held: unknown
  try {
    held = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? ` (${cause.code})` : ''
    throw new RangeError(`${path}${code}: want a file of JSON with accessKey and secretKey`)
  }
  const found = keys.safeParse(held)
  if (!found.success) throw new RangeError(`${path}: want accessKey and secretKey in it`)
  return found.data
}

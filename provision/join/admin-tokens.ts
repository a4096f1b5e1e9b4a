import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileDurable } from '../../store/durable.ts'

/** By which operators' programs speak to the administration over TCP. What is kept is a digest: 256 random bits need no more. */
export type AdminToken = { name: string; createdAt: number }

const schema = z.array(
  z.strictObject({ name: z.string(), createdAt: z.number(), digest: z.string().regex(/^[0-9a-f]{64}$/) }),
)
const fileOf = (state: string): string => join(state, 'admin-tokens.json')

/** @returns the token, which is told this once */
export async function createAdminToken(state: string, name: string, now: number): Promise<string> {
  const token = `sealift-admin-${randomBytes(32).toString('base64url')}`
  const others = (await kept(state)).filter(each => each.name !== name)
  await keep(state, [...others, { name, createdAt: now, digest: hash('sha256', token) }])
  return token
}

export async function listAdminTokens(state: string): Promise<AdminToken[]> {
  return (await kept(state)).map(({ name, createdAt }) => ({ name, createdAt }))
}

/** @returns whether there was one */
export async function removeAdminToken(state: string, name: string): Promise<boolean> {
  const all = await kept(state)
  await keep(
    state,
    all.filter(each => each.name !== name),
  )
  return all.some(each => each.name === name)
}

/** Looked up each time: one that is removed opens nothing from then on. */
export async function isAdminToken(state: string, token: string): Promise<boolean> {
  const digest = hash('sha256', token, 'buffer')
  let found = false
  for (const each of await kept(state)) if (timingSafeEqual(Buffer.from(each.digest, 'hex'), digest)) found = true
  return found
}

async function kept(state: string): Promise<z.infer<typeof schema>> {
  try {
    return schema.parse(JSON.parse(await readFile(fileOf(state), 'utf8')))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

async function keep(state: string, tokens: z.infer<typeof schema>): Promise<void> {
  await writeFileDurable(fileOf(state), Buffer.from(`${JSON.stringify(tokens, null, 2)}\n`), 0o600)
}

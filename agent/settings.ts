import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Adapter, Low } from 'lowdb'
import { z } from 'zod'
import { removeUnfinished, writeFileDurable } from '../store/durable.ts'
import { onMedium } from '../store/pack/write-fault.ts'
import { AgentError } from './fault.ts'

const HEX = z.string().regex(/^[0-9a-f]*$/)
const schema = z.strictObject({
  /** hex SHA-256 of the provider's CA certificate, pinned at the first unlock */
  ca: HEX.nullable(),
  /** highest grant counter taken */
  grantCounter: z.int().nonnegative(),
  /** tries with a wrong code since the last right one, and when the next is judged (ms since 1970) */
  wrongCodes: z.strictObject({ count: z.int().nonnegative(), notBefore: z.number() }),
  /** newest checkpoint signed, by job: a drive that does not extend it is refused */
  heads: z.record(HEX, z.strictObject({ number: z.int().nonnegative(), hash: HEX })),
  /** index key sealed to the transport key, by job */
  indexKeys: z.record(HEX, z.strictObject({ suite: z.int(), encapsulated: HEX, ciphertext: HEX })),
  /** the job's S3 credential; the secret is sealed under the index key */
  credentials: z.record(HEX, z.strictObject({ accessKey: z.string(), sealedSecret: HEX })),
  /** custody events that wait for the token to sign them */
  unsigned: z.array(z.strictObject({ at: z.number(), event: z.string(), detail: z.record(z.string(), z.string()) })),
})
export type Settings = z.infer<typeof schema>

const EMPTY: Settings = {
  ca: null,
  grantCounter: 0,
  wrongCodes: { count: 0, notBefore: 0 },
  heads: {},
  indexKeys: {},
  credentials: {},
  unsigned: [],
}
const UNSIGNED_KEPT = 1000

/** lowdb renames but never syncs: this adapter does both, so that a counted try stays counted over a power cut. */
function durableFile(path: string): Adapter<Settings> {
  return {
    async read() {
      let text: string
      try {
        text = await readFile(path, 'utf8')
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
        throw error
      }
      let value: unknown
      try {
        value = JSON.parse(text)
      } catch (cause) {
        throw new AgentError(
          'configuration',
          `${path}: not JSON: put back a copy, or have the provider prepare this device anew`,
          { cause },
        )
      }
      const parsed = schema.safeParse(value)
      if (!parsed.success) throw new AgentError('configuration', `${path}: ${z.prettifyError(parsed.error)}`)
      return parsed.data
    },
    write: data =>
      onMedium(path, () => writeFileDurable(path, Buffer.from(`${JSON.stringify(data, null, 2)}\n`), 0o600)),
  }
}

/** Small state of a device. `change` is durable when it resolves; changes go one after another. */
export class SettingsFile {
  readonly #low: Low<Settings>
  #last: Promise<void> = Promise.resolve()

  private constructor(low: Low<Settings>) {
    this.#low = low
  }

  static async open(directory: string): Promise<SettingsFile> {
    await removeUnfinished(directory)
    const low = new Low(durableFile(join(directory, 'settings.json')), structuredClone(EMPTY))
    await low.read()
    return new SettingsFile(low)
  }

  get value(): Readonly<Settings> {
    return this.#low.data
  }

  change(edit: (settings: Settings) => void): Promise<void> {
    const done = this.#last.then(() => this.#low.update(edit))
    this.#last = done.catch(() => undefined)
    return done
  }

  noteUnsigned(event: string, at: number, detail: Record<string, string>): Promise<void> {
    return this.change(settings => {
      settings.unsigned.push({ at, event, detail })
      if (settings.unsigned.length > UNSIGNED_KEPT)
        settings.unsigned.splice(0, settings.unsigned.length - UNSIGNED_KEPT)
    })
  }
}

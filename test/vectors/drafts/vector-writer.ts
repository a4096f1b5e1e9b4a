import fs from 'node:fs'
import path from 'node:path'
import { FormatError } from '../../../format/fault.ts'
import { changed, READERS, type Refusal, type VectorFile } from '../../format/vector-readers.ts'
import type { Draft } from './draft.ts'

/** Writes the vectors of a structure, each change first tried: a fault other than the named one ends it. */
export async function write(folder: string, structure: string, about: string, drafts: Draft[]): Promise<void> {
  const read = READERS[structure]
  if (read === undefined) throw new Error(`no reader of ${structure}`)
  const cases: VectorFile['cases'] = []
  for (const { name, inputs, bytes, refused, stored } of drafts) {
    const expect = await read(inputs, bytes)
    const refusals: Refusal[] = []
    for (const [why, fault, change] of refused) {
      const found = await read({ ...inputs, ...change.inputs }, changed(bytes, change)).then(
        () => 'nothing',
        (error: unknown) => (error instanceof FormatError ? error.fault : String(error)),
      )
      if (found !== fault) throw new Error(`${structure} ${name}: ${why}: wanted ${fault}, found ${found}`)
      refusals.push({ why, fault, ...change })
    }
    cases.push({ name, inputs, bytes: (stored ?? bytes).toString('base64'), expect, refused: refusals })
  }
  save(folder, structure, { structure, about, cases })
}

export function save(folder: string, name: string, value: unknown): void {
  fs.writeFileSync(path.join(folder, `${name}.json`), `${JSON.stringify(value, null, 1)}\n`)
}

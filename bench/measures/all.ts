/** Every measure by its name, in the order of `all`. */
import type { Row } from '../measure.ts'
import type { Run } from '../rounds.ts'
import { measureCopy } from './copies.ts'
import { measurePut } from './puts.ts'
import { measureSealing } from './sealing.ts'

export const MEASURES: ReadonlyMap<string, (run: Run) => Promise<Row[]>> = new Map([
  ['copy-large', run => measureCopy(run, 'large')],
  ['copy-medium', run => measureCopy(run, 'medium')],
  ['copy-small', run => measureCopy(run, 'small')],
  ['put-4k', run => measurePut(run, 'put-4k')],
  ['put-100k', run => measurePut(run, 'put-100k')],
  ['put-large', run => measurePut(run, 'put-large')],
  ['seal-4k', measureSealing],
])

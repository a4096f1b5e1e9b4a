/** Every measure by its name. */
import type { Row } from '../measure.ts'
import type { Run } from '../rounds.ts'
import { measureAcl } from './acl.ts'
import { measureCopy } from './copies.ts'
import { measureGet } from './gets.ts'
import { measureIntake } from './intakes.ts'
import { measureMemory } from './memory.ts'
import { measureListing, measureOpening } from './million.ts'
import { measurePut } from './puts.ts'
import { measureSealTime } from './seal-time.ts'
import { measureSealing } from './sealing.ts'
import { measureTokens } from './tokens.ts'

export const MEASURES: ReadonlyMap<string, (run: Run) => Promise<Row[]>> = new Map([
  ['seal-4k', measureSealing],
  ['copy-large', run => measureCopy(run, 'large')],
  ['copy-medium', run => measureCopy(run, 'medium')],
  ['copy-small', run => measureCopy(run, 'small')],
  ['put-4k', run => measurePut(run, 'put-4k')],
  ['put-100k', run => measurePut(run, 'put-100k')],
  ['put-large', run => measurePut(run, 'put-large')],
  ['get-large', run => measureGet(run, 'get-large')],
  ['get-4k', run => measureGet(run, 'get-4k')],
  ['intake-large', run => measureIntake(run, 'large')],
  ['intake-small', run => measureIntake(run, 'small')],
  ['seal-time', measureSealTime],
  ['token-ops', measureTokens],
  ['open-after-crash', measureOpening],
  ['list-million', measureListing],
  ['memory', measureMemory],
  ['acl', measureAcl],
])

/** Their order in `all` is that above: what is short first. What is left out takes minutes of its own. */
export const ALL = [...MEASURES.keys()].filter(name => name !== 'acl')

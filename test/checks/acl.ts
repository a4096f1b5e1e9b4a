/**
 * `npm run check:acl`: every rule of the hosted store's ACLs against a store and its authority, a line a rule. Exit 0: all hold.
 */
import { RULES } from '../provision/acl/rules.ts'
import { SENTENCES } from '../provision/acl/sentences.ts'
import { openWorld } from '../provision/acl/world.ts'

const world = await openWorld()
let held = 0
for (const [at, sentence] of SENTENCES.entries()) {
  const number = at + 1
  const fault = await faultOf(number)
  if (fault === null) held++
  else process.stderr.write(`rule ${number}: ${fault}\n`)
  process.stdout.write(`${String(number).padStart(2, '0')}. ${sentence} … ${fault === null ? 'ok' : 'FAILED'}\n`)
}
await world.remove()
process.stdout.write(`total: ${held} of ${SENTENCES.length} rules hold\n`)
process.exitCode = held === SENTENCES.length ? 0 : 1

async function faultOf(number: number): Promise<string | null> {
  const found = RULES.filter(each => each.number === number)
  if (found.length === 0) return 'nothing shows it: it is not built'
  try {
    for (const { show } of found) await show(world)
    return found.find(each => each.missing !== null)?.missing ?? null
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
}

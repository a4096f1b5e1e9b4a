/**
 * `npm run quickstart [-- DIR] [--json] [--keep]`: a directory travels. Sealed on a device, shipped on a drive, taken in by the provider,
 * read back by who is allowed; and everything that could go wrong on the way is noticed. Real processes, a real token on each side.
 */

import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { commandPath } from './commands.ts'
import { bytesInWords, many, openScreen } from './screen.ts'
import { newPlace, type Result, tell } from './story.ts'

const { values, positionals } = parseArgs({
  options: { json: { type: 'boolean', default: false }, keep: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const directory = resolve(positionals[0] ?? fileURLToPath(new URL('../../node_modules', import.meta.url)))
const place = newPlace()
const screen = openScreen(
  text => void process.stderr.write(text),
  () => performance.now(),
)

let result: Result | null = null
try {
  result = await tell(directory, place, screen, async (hosted, { accessKey, secretKey }) => {
    if (!values.keep) return
    process.stderr.write(
      [
        '',
        'It goes on running. Try:',
        `  export AWS_ACCESS_KEY_ID=${accessKey} AWS_SECRET_ACCESS_KEY=${secretKey} AWS_DEFAULT_REGION=us-east-1`,
        `  aws --endpoint-url ${hosted} s3 ls s3://lift/`,
        `  ${commandPath('sealift-verify')} manifest ${place.drive}`,
        `  ${commandPath('sealift-provider')} --state ${place.state} audit verify`,
        `Everything lies in ${place.root}. Ctrl-C ends it.`,
        '',
      ].join('\n'),
    )
    await once(process, 'SIGINT')
  })
} catch (error) {
  process.stderr.write(`\nquickstart: ${error instanceof Error ? error.message : String(error)}\n`)
}
if (result !== null) {
  screen.table([
    ['files', `${many(result.files)} (and ${result.links} links), ${bytesInWords(result.bytes)}`],
    ['sealed objects', many(result.sealed)],
    ['taken in', many(result.takenIn)],
    ['read back equal', many(result.readBack)],
    ['reads refused', String(result.refusedReads)],
    ['tamperings noticed', `${result.tampering.noticed} of ${result.tampering.tried}`],
    ['token operations', `${result.tokenOperations}, both tokens, enrolment included`],
    ['seconds', result.seconds.toFixed(1)],
  ])
  for (const miss of result.misses) process.stderr.write(`MISSED: ${miss}\n`)
}
if (!values.keep) rmSync(place.root, { recursive: true, force: true })
const failed = result === null || result.misses.length > 0
if (values.json) process.stdout.write(`${JSON.stringify(result ?? { error: 'the story broke off: see stderr' })}\n`)
else process.stderr.write(failed ? 'quickstart: not all of it held\n' : 'All of it held.\n')
process.exitCode = failed ? 1 : 0

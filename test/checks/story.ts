/** `npm run check:story [-- OBJECTS]`: one ACL over everything that came by drive, at full size. Exit 0: all went as it should. */
import { tellNamedAcl } from '../scenes/named-acl.ts'

const FULL_SIZE = 100_000
const objects = Number(process.argv[2] ?? FULL_SIZE)
if (!Number.isInteger(objects) || objects < 1) {
  process.stderr.write('npm run check:story [-- OBJECTS]\n')
  process.exit(2)
}
const started = performance.now()
const seconds = (): string => ((performance.now() - started) / 1000).toFixed(0).padStart(4)
const { editMs, misses } = await tellNamedAcl(objects, line => void process.stdout.write(`${seconds()} s  ${line}\n`))
const [letIn, putOut] = editMs.map(ms => ms.toFixed(1))
process.stdout.write(`${seconds()} s  ${objects} objects; the two edits took ${letIn} and ${putOut} ms\n`)
for (const miss of misses) process.stdout.write(`MISSED: ${miss}\n`)
process.exitCode = misses.length === 0 ? 0 : 1

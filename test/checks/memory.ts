/** `npm run check:memory`: copying 200,000 files of 1 kB stays under 300 MB. */
import { measureCopy } from './copy-memory.ts'

const LIMIT_BYTES = 300e6
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`

let failed = false
for (const files of [20_000, 200_000]) {
  const found = await measureCopy(files, 1000)
  const operations = (found.tokenOperations / found.files) * 10_000
  console.log(
    `${found.files.toLocaleString('en-US')} files of 1 kB: peak ${megabytes(found.peakBytes)} (idle ${megabytes(found.baseBytes)}), ${Math.round(found.files / found.seconds).toLocaleString('en-US')} files/s, ` +
      `${found.tokenOperations} token operations (${operations.toFixed(1)} per 10,000), seal ${found.sealSeconds.toFixed(1)} s`,
  )
  if (found.peakBytes > LIMIT_BYTES || found.objects !== found.files) failed = true
}
console.log(failed ? `over ${megabytes(LIMIT_BYTES)}, or objects missing` : `within ${megabytes(LIMIT_BYTES)}`)
process.exitCode = failed ? 1 : 0

/** The process of one test file: imports it, lets uvu run its suites, tells what happens on descriptor 3. Argument 3: seconds a test. */
import fs from 'node:fs'
import { registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'
import type { Event } from './report.ts'

const [, , file = '', testSeconds = ''] = process.argv
const watchedUvu = new URL('./uvu.ts', import.meta.url).href

// A synchronous write is out before a test can end the process.
const tell = (event: Event) => fs.writeSync(3, `${JSON.stringify(event)}\n`)

// uvu's own way to hold suites back until every file is imported: `run()` then only queues. It looks when it is itself imported.
const queue: Array<() => Promise<unknown>> = []
Reflect.set(globalThis, 'UVU_DEFER', 1)
Reflect.set(globalThis, 'UVU_QUEUE', [queue])
Reflect.set(globalThis, 'UVU_INDEX', 0)
const { described, isTold, watchSuites } = await import('./uvu.ts')

process.on('unhandledRejection', reason =>
  tell({ kind: 'fault', where: 'a rejection nobody handled', error: described(reason) }),
)
process.on('uncaughtException', thrown =>
  tell({ kind: 'fault', where: 'an error nobody caught', error: described(thrown) }),
)

watchSuites({ tell, testSeconds: Number(testSeconds) })
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'uvu' ? { url: watchedUvu, shortCircuit: true } : next(specifier, context),
})

try {
  await import(pathToFileURL(file).href)
  for (const run of queue) {
    await run().catch((thrown: unknown) => {
      if (!isTold(thrown)) throw thrown // uvu rejects for an `after` hook only, which has told already
    })
  }
  tell({ kind: 'done' })
} catch (thrown) {
  tell({ kind: 'fault', where: 'the file', error: described(thrown) })
  process.exitCode = 1
}

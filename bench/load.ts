/**
 * Load over HTTP from a process of its own, the same for us and for the peer: requests are made and signed before the clock starts, and
 * both get the same bytes (nginx passes the signature over).
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { LoadOrder, LoadResult } from './requests.ts'

const PROCESS = fileURLToPath(new URL('./load-main.ts', import.meta.url))

/**
 * @param ready - awaited when every request is made and before the first is sent
 * @throws Error when a request failed: a rate over failures says nothing
 */
export async function load(order: LoadOrder, ready: () => Promise<void>): Promise<LoadResult> {
  const child = spawn(process.execPath, [PROCESS], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH },
  })
  const closed = once(child, 'close')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async (): Promise<string> => {
    const { value, done } = await lines.next()
    if (done) throw new Error(`the load process ended with ${(await closed)[0]}`)
    return value
  }
  try {
    child.stdin.write(`${JSON.stringify(order)}\n`)
    await line()
    await ready()
    child.stdin.write('go\n')
    const result = JSON.parse(await line()) as LoadResult
    if (result.failed > 0)
      throw new Error(`${result.failed} of ${order.keys.length} requests failed, first: ${result.firstFailure}`)
    return result
  } finally {
    child.kill('SIGKILL')
    await closed
  }
}

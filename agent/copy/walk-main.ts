import { parentPort, workerData } from 'node:worker_threads'
import { codeOf, type SourceEntry, walkSource } from './source.ts'
import { BATCH_ENTRIES, type WalkMessage, type WalkOrder } from './walk-messages.ts'

/** A thread that walks a source: synchronous looks, thousands of which would hold up whoever serves. */
const port = parentPort
if (port === null) throw new Error('a walking thread is started by `copy`, not by hand')
const { source, prefix } = workerData as WalkOrder
const tell = (message: WalkMessage): void => port.postMessage(message)

const COUNT_SLICE = 2000
let lost: { path: string; reason: string }[] = []
const walk = walkSource(source, prefix, (path, reason) => lost.push({ path, reason }))
const count = walkSource(source, prefix, () => undefined)
const found = { objects: 0, bytes: 0, whole: false }
let wanted = 0
let walked = false
let due = false

/** Batches first; totals for the ETA while nobody waits for one. */
function work(): void {
  due = false
  try {
    if (wanted > 0 && !walked) sendBatch()
    else if (!found.whole) countSlice()
  } catch (error) {
    tell({ failed: codeOf(error) })
    walked = true
    found.whole = true
  }
  if ((wanted > 0 && !walked) || !found.whole) goOn()
  else if (walked) port?.close()
}

function goOn(): void {
  if (due) return
  due = true
  setImmediate(work)
}

function sendBatch(): void {
  const entries: SourceEntry[] = []
  while (entries.length < BATCH_ENTRIES && !walked) {
    const next = walk.next()
    if (next.done) walked = true
    else entries.push(next.value)
  }
  wanted--
  tell({ entries, lost, over: walked })
  lost = []
}

function countSlice(): void {
  for (let at = 0; at < COUNT_SLICE && !found.whole; at++) {
    const next = count.next()
    if (next.done) found.whole = true
    else if (next.value.kind === 'file' || next.value.kind === 'link') {
      found.objects++
      found.bytes += next.value.size
    }
  }
  tell({ found: { ...found } })
}

port.on('message', () => {
  wanted++
  goOn()
})
goOn()

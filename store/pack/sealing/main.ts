import { parentPort, workerData } from 'node:worker_threads'
import type { CallMessage, ReplyMessage, SealingOwner } from './messages.ts'
import { refusedOf } from './refused.ts'
import { Sealer } from './sealer.ts'

/** A sealing thread: answers calls until its port closes. */
const port = parentPort
if (port === null) throw new Error('a sealing thread is started by the store, not by hand')
const sealer = new Sealer(workerData as SealingOwner)
port.on('message', ({ id, name, request }: CallMessage) => {
  const answer = (message: ReplyMessage): void => port.postMessage(message)
  sealer.call(name, request).then(
    reply => answer({ id, reply }),
    (error: unknown) => answer({ id, refused: refusedOf(error) }),
  )
})

import type { Writable } from 'node:stream'

/** Writes to a stream; what comes within one turn of the event loop leaves together, in one system call where the stream can. */
export function gathered(stream: Writable): (bytes: Uint8Array) => void {
  let waiting = false
  return bytes => {
    if (!waiting) {
      waiting = true
      stream.cork()
      // behind all that arrived in this turn
      setImmediate(() => {
        waiting = false
        stream.uncork()
      })
    }
    stream.write(bytes)
  }
}

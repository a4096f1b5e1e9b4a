/** Bytes done against bytes known, with rate and time left: one line that is redrawn, on a terminal only. */
export type Progress = { add: (bytes: number) => void; close: () => void }

export const SILENT: Progress = { add: () => {}, close: () => {} }

const REDRAW_MS = 200

/** @param now - ms, monotonic */
export function terminalProgress(write: (text: string) => void, total: number, now: () => number): Progress {
  const start = now()
  let done = 0
  let drawn = start
  return {
    add: bytes => {
      done += bytes
      const at = now()
      if (at - drawn < REDRAW_MS) return
      drawn = at
      write(`\r\x1b[K${progressText(done, total, (at - start) / 1000)}`)
    },
    close: () => write('\r\x1b[K'),
  }
}

/** @param seconds - since the start */
export function progressText(done: number, total: number, seconds: number): string {
  const rate = seconds > 0 ? done / seconds : 0
  const left = rate > 0 ? `${Math.ceil(Math.max(0, total - done) / rate)} s left` : ''
  const share = total > 0 ? Math.min(100, Math.floor((done / total) * 100)) : 100
  return `${share} %  ${(done / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB  ${(rate / 1e6).toFixed(1)} MB/s  ${left}`
}

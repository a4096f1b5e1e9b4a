import type { WriteStream } from 'node:tty'

/** How a command speaks: data on stdout, talk on stderr, and never a drawn line where nobody looks. */
export type Terminal = {
  /** one JSON document, or nothing when people read */
  json: boolean
  /** whether a person looks at a terminal */
  drawn: boolean
  out: (text: string) => void
  say: (text: string) => void
  /** replaces the line before on a terminal; a plain line every few seconds elsewhere */
  progress: (text: string) => void
  /** ends the line that `progress` drew */
  settle: () => void
}

const PLAIN_EVERY_MS = 5000

export function openTerminal(
  json: boolean,
  stdout: { write: (text: string) => unknown },
  stderr: WriteStream | { write: (text: string) => unknown; isTTY?: boolean },
  ticks: () => number,
): Terminal {
  const draws = 'isTTY' in stderr && stderr.isTTY === true
  let drawn = false
  let last = ticks()
  const settle = (): void => {
    if (drawn) stderr.write('\n')
    drawn = false
  }
  return {
    json,
    drawn: draws,
    out: text => void stdout.write(`${text}\n`),
    say(text) {
      settle()
      stderr.write(`${text}\n`)
    },
    progress(text) {
      if (draws) {
        const width = 'columns' in stderr && typeof stderr.columns === 'number' ? stderr.columns : 80
        stderr.write(`\r\u001b[K${text.slice(0, width - 1)}`)
        drawn = true
      } else if (ticks() - last >= PLAIN_EVERY_MS) {
        last = ticks()
        stderr.write(`${text}\n`)
      }
    },
    settle,
  }
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/** 1 kB = 1000 B. */
export function bytesInWords(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${UNITS[unit]}`
}

export function durationInWords(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '?'
  if (seconds < 60) return `${Math.ceil(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** "1,234 of 5,678 files, 12 MB of 34 MB, 56 MB/s, 7 s left" */
export function progressInWords(
  done: { objects: number; bytes: number },
  all: { objects: number; bytes: number } | null,
  elapsedSeconds: number,
  what: string,
): string {
  const rate = done.bytes / Math.max(elapsedSeconds, 0.001)
  const many = (count: number): string => count.toLocaleString('en-US')
  const left = all === null ? '' : `, ${durationInWords(remaining(done, all, elapsedSeconds))} left`
  const of = all === null ? '' : ` of ${many(all.objects)}`
  const ofBytes = all === null ? '' : ` of ${bytesInWords(all.bytes)}`
  return `${many(done.objects)}${of} ${what}, ${bytesInWords(done.bytes)}${ofBytes}, ${bytesInWords(rate)}/s${left}`
}

/** The slower of two views: by bytes and by number; small files make the first too rosy, large ones the second. */
function remaining(
  done: { objects: number; bytes: number },
  all: { objects: number; bytes: number },
  elapsedSeconds: number,
): number {
  const byBytes =
    done.bytes === 0
      ? all.bytes === 0
        ? 0
        : Number.POSITIVE_INFINITY
      : ((all.bytes - done.bytes) / done.bytes) * elapsedSeconds
  // before the first object is through, only its bytes say how it goes
  const byObjects = done.objects === 0 ? 0 : ((all.objects - done.objects) / done.objects) * elapsedSeconds
  return Math.max(0, byBytes, byObjects)
}

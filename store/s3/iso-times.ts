const MINUTE_MS = 60_000

/** Times as `toISOString` writes them; neighbours are mostly of one minute, and then only the rest is worked out. */
export function isoTimes(): (time: Date) => string {
  let minute = Number.NaN
  let written = ''
  return time => {
    const ms = time.getTime()
    const rest = ms - minute
    if (!(rest >= 0 && rest < MINUTE_MS)) {
      const iso = time.toISOString()
      minute = Math.floor(ms / MINUTE_MS) * MINUTE_MS
      written = iso.slice(0, -7)
      return iso
    }
    const seconds = String(Math.floor(rest / 1000)).padStart(2, '0')
    return `${written}${seconds}.${String(rest % 1000).padStart(3, '0')}Z`
  }
}

/** yyyymmddThhmmssZ */
export function amzTime(at: Date): string {
  return `${at.toISOString().replace(/[-:]/g, '').slice(0, 15)}Z`
}

/** Milliseconds since 1970, or `null` when it is no real time of the form yyyymmddThhmmssZ. */
export function parseAmzTime(text: string): number | null {
  // many requests are of the same second
  if (text !== last.text) last = { text, time: parse(text) }
  return last.time
}

let last: { text: string; time: number | null } = { text: '', time: null }

function parse(text: string): number | null {
  const part = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (!part) return null
  const time = Date.parse(`${part[1]}-${part[2]}-${part[3]}T${part[4]}:${part[5]}:${part[6]}Z`)
  // Date.parse rolls 31 February over to March
  return Number.isNaN(time) || amzTime(new Date(time)) !== text ? null : time
}

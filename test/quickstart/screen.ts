/** What a person sees: steps on stderr while they happen, a table at the end. */
export type Screen = {
  step: (title: string) => void
  detail: (text: string) => void
  table: (rows: [string, string][]) => void
}

export function openScreen(write: (text: string) => void, ticks: () => number): Screen {
  const started = ticks()
  let number = 0
  return {
    step(title) {
      number++
      write(`\n${String(number).padStart(2)}  ${title}  (${((ticks() - started) / 1000).toFixed(0)} s)\n`)
    },
    detail: text => write(`      ${text}\n`),
    table(rows) {
      const width = Math.max(...rows.map(([name]) => name.length))
      write('\n')
      for (const [name, value] of rows) write(`  ${name.padEnd(width)}  ${value}\n`)
      write('\n')
    },
  }
}

export function bytesInWords(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}

export const many = (count: number): string => count.toLocaleString('en-US')

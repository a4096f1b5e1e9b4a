export function includes(text: string, wanted: string): void {
  if (!text.includes(wanted))
    throw new Error(`${JSON.stringify(wanted)} is not in ${JSON.stringify(text.slice(0, 500))}`)
}
export function excludes(text: string, unwanted: string): void {
  if (text.includes(unwanted))
    throw new Error(`${JSON.stringify(unwanted)} is still in ${JSON.stringify(text.slice(0, 500))}`)
}
export function equals(found: string, wanted: string): void {
  if (found !== wanted) throw new Error(`want ${JSON.stringify(wanted)}, got ${JSON.stringify(found.slice(0, 500))}`)
}

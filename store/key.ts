/** Longest key, in UTF-8 bytes. */
export const longestKeyBytes = 1024

/** Order of keys: by their UTF-8 bytes, which differs from JavaScript's own order above U+FFFF. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'))
}

/** 1..1024 bytes of UTF-8; a lone surrogate has no UTF-8 form. */
export function isKey(text: string): boolean {
  const bytes = Buffer.byteLength(text, 'utf8')
  return bytes >= 1 && bytes <= longestKeyBytes && text.isWellFormed()
}

/** The common prefix that `key` falls under in a listing, or `null` when it is listed itself. */
export function commonPrefix(key: string, prefix: string, delimiter: string | undefined): string | null {
  if (!delimiter) return null
  const at = key.indexOf(delimiter, prefix.length)
  return at < 0 ? null : key.slice(0, at + delimiter.length)
}

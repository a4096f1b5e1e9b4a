/** The store that holds files under the provider's own directory; there always. */
export const FILES = 'files'
/** The database itself, for small bodies; there always. */
export const INLINE = 'inline'

/** What a store that is added may be called. */
export const STORE_NAME = /^(?!(?:files|inline)$)[a-z][a-z0-9-]{0,31}$/

/** The id of a blob, as the rows have it: `<store>:<id>`, and the bare id of a file. */
export function addressIn(store: string, id: string): string {
  return store === FILES ? id : `${store}:${id}`
}

export function addressOf(blob: string): { store: string; id: string } {
  const cut = blob.indexOf(':')
  return cut < 0 ? { store: FILES, id: blob } : { store: blob.slice(0, cut), id: blob.slice(cut + 1) }
}

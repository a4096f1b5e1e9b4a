/** Well-formed XML text that `element` made. */
export type Xml = { readonly xml: string }

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' }

const toEscape = /[&<>"'\p{Cc}\ufffe\uffff]/u

/** Text for element content and attributes. Control characters become references, as S3 answers them. */
export function escapeXml(text: string): string {
  if (!toEscape.test(text)) return text
  return text.replace(/[&<>"'\p{Cc}\ufffe\uffff]/gu, char => escapes[char] ?? `&#x${char.charCodeAt(0).toString(16)};`)
}

/** `null` and `undefined` children are left out. */
export function element(
  name: string,
  content: string | number | boolean | (Xml | null | undefined)[],
  attributes = '',
): Xml {
  let inner = ''
  if (Array.isArray(content)) for (const child of content) inner += child?.xml ?? ''
  else inner = escapeXml(String(content))
  return { xml: `<${name}${attributes}>${inner}</${name}>` }
}

/** A result document in S3's name space. */
export function s3Element(name: string, content: (Xml | null | undefined)[] | string): Xml {
  return element(name, content, ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"')
}

export function xmlDocument(root: Xml): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${root.xml}`
}

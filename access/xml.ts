import { SaxesParser } from 'saxes'
import { AccessError } from './fault.ts'

/** An element with its own text (of mixed content, all of it), its attributes and its children in order. Prefixes are dropped. */
export type XmlNode = {
  name: string
  text: string
  attributes: Readonly<Record<string, string>>
  children: XmlNode[]
}
export type XmlLimits = { bytes: number; depth: number; nodes: number }

/**
 * The document element. No entities but XML's own five, no document type, so nothing expands and nothing is fetched.
 *
 * @throws AccessError "malformed-xml" - not UTF-8, not well-formed, a document type, too long, too deep or too many elements
 */
export function parseXml(document: Uint8Array | string, limits: XmlLimits): XmlNode {
  if (document.length > limits.bytes) throw malformed(`longer than ${limits.bytes} bytes`)
  const text = typeof document === 'string' ? document : utf8(document)
  const top: XmlNode = { name: '', text: '', attributes: {}, children: [] }
  const open: XmlNode[] = [top]
  let nodes = 0
  const parser = new SaxesParser({ xmlns: false, fragment: false })
  parser.on('error', error => {
    throw malformed(error.message.slice(0, 200))
  })
  parser.on('doctype', () => {
    throw malformed('a document type is not accepted')
  })
  parser.on('opentag', tag => {
    if (open.length > limits.depth) throw malformed('too deep')
    if (++nodes > limits.nodes) throw malformed('too many elements')
    const attributes = Object.keys(tag.attributes).length === 0 ? NO_ATTRIBUTES : localNames(tag.attributes)
    const node = { name: local(tag.name), text: '', attributes, children: [] }
    open.at(-1)?.children.push(node)
    open.push(node)
  })
  parser.on('closetag', () => {
    open.pop()
  })
  const addText = (piece: string) => {
    const node = open.at(-1)
    if (node) node.text += piece
  }
  parser.on('text', addText)
  parser.on('cdata', addText)
  parser.write(text).close()
  const root = top.children[0]
  if (!root) throw malformed('no element')
  return root
}

/** Text of the one child of that name; `undefined` when there is none. */
export function childText(node: XmlNode, name: string): string | undefined {
  return node.children.find(child => child.name === name)?.text
}

const NO_ATTRIBUTES = {}

function localNames(attributes: Readonly<Record<string, string>>): Record<string, string> {
  // no prototype: an attribute may be called __proto__
  const out: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(attributes)) out[local(name)] = value
  return out
}

function local(name: string): string {
  return name.replace(/^.*:/, '')
}

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new AccessError('malformed-xml', 'the document is not UTF-8', { cause })
  }
}

function malformed(message: string): AccessError {
  return new AccessError('malformed-xml', `The XML you provided was not well-formed: ${message}`)
}

import { SaxesParser } from 'saxes'
import { S3Error } from './fault.ts'

/** An element with its own text (of mixed content, all of it) and children in order. Prefixes are dropped. */
export type XmlNode = { name: string; text: string; children: XmlNode[] }
export type XmlLimits = { bytes: number; depth: number; nodes: number }

export const commonXml: XmlLimits = { bytes: 1024 * 1024, depth: 16, nodes: 50_000 }
/** 1,000 keys of 1,024 bytes, or 10,000 parts with checksums, do not fit into one MiB. */
export const longXml: XmlLimits = { bytes: 4 * 1024 * 1024, depth: 16, nodes: 80_000 }

/**
 * The document element of a small body.
 * @throws S3Error "MalformedXML" - not well-formed, a doctype, too deep or too many elements; "EntityTooLarge"
 */
export async function readXml(body: AsyncIterable<Uint8Array>, limits: XmlLimits): Promise<XmlNode> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > limits.bytes) throw new S3Error('EntityTooLarge', `the document is longer than ${limits.bytes} bytes`)
    chunks.push(chunk)
  }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  } catch (cause) {
    throw new S3Error('MalformedXML', 'the document is not UTF-8', { cause })
  }
  return parseXml(text, limits)
}

export function parseXml(text: string, limits: XmlLimits): XmlNode {
  const malformed = (message: string) =>
    new S3Error('MalformedXML', `The XML you provided was not well-formed: ${message}`)
  const top: XmlNode = { name: '', text: '', children: [] }
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
    const node = { name: tag.name.replace(/^.*:/, ''), text: '', children: [] }
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

import { AccessError } from '../fault.ts'
import type { XmlNode } from '../xml.ts'

const TEXT_MAX = 1024

/** Text of an element that must have some. @throws AccessError "malformed-acl" */
export function textOf(node: XmlNode): string {
  const text = node.text.trim()
  if (text === '' || text.length > TEXT_MAX) throw malformed(`${node.name}: want 1 to ${TEXT_MAX} characters`)
  return text
}

/** What was found, for a message. */
export function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 60))
}

export function malformed(message: string): AccessError {
  return new AccessError('malformed-acl', message)
}

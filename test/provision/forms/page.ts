import { escapeXml } from '../../../store/s3/xml-out.ts'
import type { Fields } from './sender.ts'

/** A page with a form that sends a file to a bucket: for browsers. @param action - address of the bucket */
export function formPage(action: string, fields: Fields): string {
  const hidden = fields.map(
    ([name, value]) => `<input type="hidden" name="${escapeXml(name)}" value="${escapeXml(value)}">`,
  )
  return [
    '<!doctype html><meta charset="utf-8"><title>Send a file</title>',
    `<form action="${escapeXml(action)}" method="post" enctype="multipart/form-data">`,
    ...hidden,
    '<input type="file" name="file"><button>Send</button></form>',
  ].join('\n')
}

/** The fields that a browser would send of it. */
export function fieldsIn(page: string): Fields {
  const text = (html: string) =>
    html
      .replace(/&quot;/g, '"')
      .replace(/&lt;/g, '<')
      .replace(/&gt;/g, '>')
      .replace(/&apos;/g, "'")
      .replace(/&amp;/g, '&')
  return [...page.matchAll(/name="([^"]*)" value="([^"]*)"/g)].map(([, name = '', value = '']) => [
    text(name),
    text(value),
  ])
}

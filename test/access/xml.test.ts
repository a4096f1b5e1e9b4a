import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AccessError } from '../../access/fault.ts'
import { parseXml, type XmlLimits } from '../../access/xml.ts'
import { element, xmlDocument } from '../../store/s3/xml-out.ts'

const test = suite('XML that comes in')
const LIMITS: XmlLimits = { bytes: 1 << 20, depth: 16, nodes: 50_000 }
const isMalformed = (error: unknown) => error instanceof AccessError && error.fault === 'malformed-xml'

for (const [name, text] of [
  ['nothing', ''],
  ['text alone', 'x'],
  ['an open tag', '<a>'],
  ['crossed tags', '<a><b></a></b>'],
  ['two roots', '<a/><b/>'],
  ['a doctype', '<!DOCTYPE a><a/>'],
  ['an entity', '<a>&x;</a>'],
  ['an external entity', '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'],
  ['a bomb of entities', '<!DOCTYPE a [<!ENTITY x "yy"><!ENTITY y "&x;&x;">]><a>&y;</a>'],
  ['depth 17', '<a>'.repeat(17) + '</a>'.repeat(17)],
  ['too many elements', `<a>${'<b/>'.repeat(50_000)}</a>`],
  ['more bytes than are read', `<a>${'x'.repeat(1 << 20)}</a>`],
] as const) {
  test(`${name} is malformed`, () => {
    assert.throws(() => parseXml(text, LIMITS), isMalformed)
    assert.throws(() => parseXml(Buffer.from(text), LIMITS), isMalformed)
  })
}

test('what is not UTF-8 is malformed', () => {
  assert.throws(() => parseXml(Buffer.from('<a>\xff</a>', 'latin1'), LIMITS), isMalformed)
})

test('depth 16, prefixes, attributes, CDATA and references are read', () => {
  parseXml('<a>'.repeat(16) + '</a>'.repeat(16), LIMITS)
  const node = parseXml(
    '<?xml version="1.0"?><x:a xmlns:x="u" x:__proto__="p"><x:b>1 &amp; <![CDATA[<2>]]>&#x41;</x:b></x:a>',
    LIMITS,
  )
  assert.is(node.name, 'a')
  assert.is(Object.getOwnPropertyDescriptor(node.attributes, '__proto__')?.value, 'p')
  assert.equal(node.children, [{ name: 'b', text: '1 & <2>A', attributes: {}, children: [] }])
})

test('what is written reads back the same, any text but what XML cannot hold', () => {
  const text = fc
    .string({ unit: 'grapheme' })
    .filter(value => /^[^\p{Cc}\ufffe\uffff]*$/u.test(value) && value.isWellFormed())
  fc.assert(
    fc.property(fc.array(text, { maxLength: 4 }), values => {
      const written = xmlDocument(
        element(
          'r',
          values.map(value => element('v', value)),
        ),
      )
      assert.equal(
        parseXml(written, LIMITS).children.map(child => child.text),
        values,
      )
    }),
    { numRuns: 100 },
  )
})

test.run()

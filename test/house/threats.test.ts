import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { importsOf, readTree } from './tree.ts'

const tree = new Map(readTree().map(({ file, text }) => [file, text]))
const threats = suite('THREATS.md')

type Named = { file: string; title: string }

/** `test/…test.ts` followed by the titles that are meant, each in backticks. */
function namedIn(text: string): Named[] {
  return [...text.matchAll(/`(test\/[\w./-]+\.test\.ts)`((?:,? `[^`]+`)+)/g)].flatMap(([, file = '', titles = '']) =>
    [...titles.matchAll(/`([^`]+)`/g)].map(([, title = '']) => ({ file, title })),
  )
}

const LITERAL = /'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g
const HOLE = /\$\{[^}]*\}/

/** Whether a string of the source is the title; what a template fills in may be anything. */
function has(source: string, title: string): boolean {
  return source
    .split('\n')
    .flatMap(line => [...line.matchAll(LITERAL)])
    .some(([, single, double, template]) => {
      const found = (single ?? double ?? template ?? '').replace(/\\(.)/g, '$1')
      if (template === undefined) return found === title
      const pieces = found.split(HOLE).map(piece => piece.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      return pieces.some(piece => piece.length > 20) && new RegExp(`^${pieces.join('.+')}$`).test(title)
    })
}

/** The test file, and tables of its own that it imports from beside it. */
function sourcesOf(file: string): string[] {
  const source = tree.get(file) ?? ''
  const beside = importsOf(source).filter(specifier => /^\.\/[\w-]+\.ts$/.test(specifier))
  return [source, ...beside.map(specifier => tree.get(join(dirname(file), specifier)) ?? '')]
}

const text = tree.get('THREATS.md') ?? ''
const named = namedIn(text)

threats('every test that it names exists under that title', () => {
  const missing = named.filter(({ file, title }) => !sourcesOf(file).some(source => has(source, title)))
  assert.equal(
    missing.map(({ file, title }) => `${file}: ${title}`),
    [],
  )
  assert.ok(named.length > 50)
})

threats('every promise names a test', () => {
  const rows = text.split('\n').filter(line => line.startsWith('| ') && line.split('|').length === 5)
  const promises = rows.filter(row => !/^\| (?:promise|-+) +\|/.test(row))
  assert.equal(
    promises.filter(row => namedIn(row).length === 0),
    [],
  )
  assert.ok(promises.length > 20)
})

threats('a title is found as it stands, with what a template fills in, and nothing else is', () => {
  const hole = '$' + '{COUNT}'
  const source = `test('a fact', run)\ntest(\`${hole} times something long enough: done\`, run)`
  assert.ok(has(source, 'a fact'))
  assert.ok(has(source, '50 times something long enough: done'))
  assert.not.ok(has(source, 'a fac'))
  assert.not.ok(has(source, '50 times something long enough'))
})

threats.run()

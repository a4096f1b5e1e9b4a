import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { notice } from '../harness/notice.ts'
import { isTypeScript, readTree, type SourceFile, withoutComments } from './tree.ts'

const HARD_LINES = 300
const SOFT_LINES = 200

// Assembled from pieces, so that this file does not hold what it looks for.
const developerPath = new RegExp(`(?:^|[^\\w.$}~-])/(?:${['home', 'Users', 'root', 'work', 'workspace'].join('|')})/`)
const registryHost = new RegExp(`https?://[\\w.-]*(?:${['debian', 'npmjs', 'yarnpkg', 'npmmirror'].join('|')})[.]`)
const promise = new RegExp(`\\b(?:${['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X'].join('|')})\\b`)
const unchecked = new RegExp(`@ts-(?:${['ignore', 'expect-error', 'nocheck'].join('|')})`)
const anyType = new RegExp(['\\bas @\\b', '[\\w)\\]?]: @\\b', '<@\\b', '\\b@\\[\\]'].join('|').replaceAll('@', 'any'))

const tree = readTree()
const sources = tree.filter(({ file }) => isTypeScript(file))
const ours = tree.filter(({ file }) => !/^test\/vectors\/|^LICENSE$/.test(file))

/** `file:line` of each line that matches. */
function places(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.flatMap(({ file, text }) =>
    text.split('\n').flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1}`] : [])),
  )
}

/** The same, comment lines left out. */
function codePlaces(files: readonly SourceFile[], pattern: RegExp): string[] {
  return places(
    files.map(({ file, text }) => ({ file, text: withoutComments(text) })),
    pattern,
  )
}

function lineCount({ text }: SourceFile): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
}

for (const source of sources) {
  const lines = lineCount(source)
  if (lines > SOFT_LINES && lines <= HARD_LINES) notice(`${source.file} has ${lines} lines`)
}

const text = suite('text')

text(`no source is longer than ${HARD_LINES} lines`, () => {
  const long = sources.filter(source => lineCount(source) > HARD_LINES)
  assert.equal(
    long.map(source => `${source.file} has ${lineCount(source)} lines: which noun wants out?`),
    [],
  )
})

text('every test file ends with .run()', () => {
  const tests = sources.filter(({ file }) => file.endsWith('.test.ts') && !file.includes('/fixtures/'))
  assert.ok(tests.length >= 3)
  const wrong = tests.filter(source => !/^\w+\.run\(\)$/.test(source.text.trimEnd().split('\n').at(-1) ?? ''))
  assert.equal(
    wrong.map(({ file }) => file),
    [],
  )
})

text('no source promises something for later', () => assert.equal(places(sources, promise), []))
text('no source switches the type checker off', () => assert.equal(places(sources, unchecked), []))
text('no source says any', () => assert.equal(codePlaces(sources, anyType), []))
text('no file names a path of a developer machine', () => assert.equal(places(ours, developerPath), []))
text('no file names the host of a package registry', () => assert.equal(places(ours, registryHost), []))

const finds = suite('text rules')

const caught: ReadonlyArray<readonly [RegExp, string]> = [
  [developerPath, `see ${['', 'home', 'me', 'x'].join('/')}`],
  [developerPath, `'${['', 'root', '.npmrc'].join('/')}'`],
  [registryHost, `"resolved": "https://registry.${'npmjs'}.org/x"`],
  [registryHost, `http://deb.${'debian'}.org/`],
  [promise, `// ${'TO' + 'DO'}: later`],
  [unchecked, `// @ts-${'ignore'}`],
  [anyType, `const a = b as ${'any'}`],
  [anyType, `function f(a: ${'any'}) {`],
  [anyType, `const a: ${'any'}[] = []`],
  [anyType, `new Map<${'any'}, string>()`],
]
for (const [pattern, line] of caught) {
  finds(`${pattern.source.slice(0, 30)} catches a line`, () =>
    assert.is(places([{ file: 'x', text: line }], pattern).length, 1),
  )
}
for (const line of [
  '/var/lib/sealift',
  `$root/${'root'}/x`,
  `~/${'work'}/x`,
  `https://example.org/${'npmjs'}`,
  'many: anything',
]) {
  finds(`"${line}" passes`, () => {
    for (const pattern of [developerPath, registryHost, promise, unchecked, anyType]) assert.not.match(line, pattern)
  })
}

text.run()
finds.run()

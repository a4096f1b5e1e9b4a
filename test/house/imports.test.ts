import fs from 'node:fs'
import { builtinModules } from 'node:module'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CONTRACTS, ENTRIES, forbidden, isMain, OUTSIDE, READS_ENVIRONMENT, roomOf } from './rooms.ts'
import {
  circle,
  declaredIn,
  graphOf,
  importsOf,
  isAmbient,
  isTypeScript,
  orphans,
  packageOf,
  readTree,
  TOP,
  target,
  withoutComments,
} from './tree.ts'

const tree = readTree()
const files = new Set(tree.map(({ file }) => file))
const sources = tree.filter(({ file }) => isTypeScript(file))
const graph = graphOf(sources)
const manifest: Record<'scripts' | 'dependencies' | 'optionalDependencies' | 'devDependencies', object> = JSON.parse(
  fs.readFileSync(path.join(TOP, 'package.json'), 'utf8'),
)
const isOutside = (file: string) => OUTSIDE.includes(roomOf(file) ?? '')
const isTest = (file: string) => file.endsWith('.test.ts')

const house = suite('imports')

house('there is a tree to look at', () => {
  assert.ok(sources.length > 10, `${sources.length} sources`)
  assert.ok([...graph.values()].flat().length > 10, 'imports found')
})

house('every source lies in a room and imports only what its room may', () => {
  const wrong = [...graph].flatMap(([from, targets]) => [
    ...(roomOf(from) === null ? [`${from} lies in no room`] : []),
    ...targets.map(to => forbidden(from, to)).filter(reason => reason !== null),
  ])
  assert.equal(wrong, [])
})

house('every file that is imported is there', () => {
  const wrong = sources.flatMap(({ file, text }) => {
    const targets = importsOf(text).map(specifier => target(file, specifier))
    return targets.filter(to => to !== null && !files.has(to)).map(to => `${file} imports ${to}, which is not there`)
  })
  assert.equal(wrong, [])
})

house('there is no circle', () => assert.is(circle(graph), null))

house('every source is reachable from a main, a test or a script', () => {
  const scripts = Object.values(manifest.scripts).join(' ')
  const started = [...scripts.matchAll(/[\w./-]+\.ts\b/g)].map(([file]) => file)
  const roots = [...graph.keys()].filter(file => isMain(file) || isTest(file) || isAmbient(file))
  assert.equal(orphans(graph, [...roots, ...started, ...ENTRIES, ...CONTRACTS]), [])
})

house('every ambient declaration is of a package that a source imports', () => {
  const imported = new Set(sources.filter(({ file }) => !isAmbient(file)).flatMap(({ text }) => importsOf(text)))
  const idle = sources
    .filter(({ file }) => isAmbient(file))
    .filter(({ text }) => declaredIn(text).length === 0 || declaredIn(text).some(name => !imported.has(name)))
  assert.equal(
    idle.map(({ file }) => file),
    [],
  )
})

house('contracts and entries that are named are there', () => {
  assert.equal(
    [...CONTRACTS, ...ENTRIES, ...READS_ENVIRONMENT.keys()].filter(file => !files.has(file)),
    [],
  )
})

house('only node: modules and declared dependencies are imported; development ones only by tests and benches', () => {
  const shipped = new Set(Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }))
  const development = new Set(Object.keys(manifest.devDependencies))
  const wrong = sources.flatMap(({ file, text }) =>
    importsOf(text)
      .filter(specifier => !specifier.startsWith('.') && !specifier.startsWith('node:'))
      .filter(specifier => !shipped.has(packageOf(specifier)))
      .filter(specifier => !(isOutside(file) && development.has(packageOf(specifier))))
      .map(specifier => `${file} imports ${specifier}${builtinModules.includes(specifier) ? ': write node:' : ''}`),
  )
  assert.equal(wrong, [])
})

house('the environment is read in mains only', () => {
  const reads = /\bprocess\.env\b|\benv\b[^;'"]*\bfrom 'node:process'/
  const wrong = sources
    .filter(({ file }) => !isOutside(file) && !isMain(file) && !READS_ENVIRONMENT.has(file))
    .filter(({ text }) => reads.test(withoutComments(text)))
  assert.equal(
    wrong.map(({ file }) => file),
    [],
  )
})

const rules = suite('import rules')

// `$` stands for the file, so that these lines are no imports themselves
const ways = [
  "import { a } from '$'",
  "import type { A } from '$'",
  "import {\n  a,\n  b,\n} from '$'",
  "import '$'",
  "export { a } from '$'",
  "const a = await import('$')",
  "new Worker(new URL('$', import.meta.url))",
]
for (const way of ways) {
  rules(`${way.replaceAll('\n', ' ')} is an import`, () => {
    assert.equal(importsOf(way.replace('$', './found.ts')), ['./found.ts'])
  })
}

rules('a comment and data beside the source are no imports', () => {
  const text = "// import './a.ts'\n/** import './b.ts' */\nnew URL('./c.json', import.meta.url)\n"
  assert.equal(importsOf(text), [])
})

const pairs: ReadonlyArray<readonly [string, string, boolean]> = [
  ['format/a.ts', 'format/deep/b.ts', true],
  ['format/a.ts', 'access/b.ts', false],
  ['hsm/a.ts', 'format/b.ts', true],
  ['hsm/a.ts', 'store/b.ts', false],
  ['store/a.ts', 'hsm/b.ts', false],
  ['store/a.ts', 'store/s3/b.ts', false],
  ['store/s3/a.ts', 'store/b.ts', true],
  ['store/s3/a.ts', 'format/b.ts', false],
  ['agent/a.ts', 'provision/b.ts', false],
  ['provision/a.ts', 'agent/b.ts', false],
  ['provision/a.ts', 'provision/keystore/b.ts', false],
  ['provision/main.ts', 'provision/keystore/b.ts', true],
  ['provision/keystore-main.ts', 'provision/keystore/b.ts', true],
  ['provision/hosted/main.ts', 'provision/keystore/b.ts', false],
  ['provision/hosted/a.ts', 'hsm/b.ts', false],
  ['provision/intake/a.ts', 'provision/hosted/b.ts', false],
  ['verify/main.ts', 'format/b.ts', true],
  ['verify/main.ts', 'access/b.ts', false],
  ['test/a.test.ts', 'provision/keystore/b.ts', true],
  ['test/a.test.ts', 'bench/b.ts', false],
  ['test/bench/a.test.ts', 'bench/b.ts', true],
  ['bench/a.ts', 'test/agent/b.ts', true],
  ['bench/a.ts', 'test/agent/b.test.ts', false],
  ['agent/a.ts', 'bench/b.ts', false],
  ['agent/a.ts', 'test/b.ts', false],
  ['format/a.ts', 'utils/b.ts', false],
  ['utils/a.ts', 'format/b.ts', false],
]
for (const [from, to, may] of pairs) {
  rules(`${from} ${may ? 'may' : 'may not'} import ${to}`, () => assert.is(forbidden(from, to) === null, may))
}

rules('a declaration of a package is told from an import of it', () => {
  const text = "// declare module 'a'\ndeclare module '@b/c' {\n  import type D from 'd'\n}\n"
  assert.equal(declaredIn(text), ['@b/c'])
  assert.equal(['a.d.ts', 'a.ts', 'd.ts'].filter(isAmbient), ['a.d.ts'])
})

rules('a circle is found, and a diamond is none', () => {
  const edges = (...list: ReadonlyArray<readonly [string, readonly string[]]>) => new Map(list)
  assert.equal(circle(edges(['a', ['b']], ['b', ['c']], ['c', ['b']])), ['b', 'c', 'b'])
  assert.is(circle(edges(['a', ['b', 'c']], ['b', ['d']], ['c', ['d']], ['d', []])), null)
})

rules('an orphan is found, also one of a pair that only know each other', () => {
  const edges = new Map([
    ['main', ['a']],
    ['a', []],
    ['b', ['c']],
    ['c', ['b']],
  ])
  assert.equal(orphans(edges, ['main']), ['b', 'c'])
})

house.run()
rules.run()

// timeout: 120s, test 90s
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { PARSERS } from '../checks/fuzz/parsers.ts'
import { readTree, TOP } from './tree.ts'

const fuzz = suite('fuzzing')

fuzz(
  'every exported parser of format/, access/ and store/s3/ is in the table, and what the table names is there',
  () => {
    const exported = readTree()
      .filter(({ file }) => /^(?:format|access|store\/s3)\/.*\.ts$/.test(file))
      .flatMap(({ text }) => [...text.matchAll(/^export (?:async )?function\*? ((?:parse|decode|peek)[A-Z]\w*)/gm)])
      .map(([, name]) => name ?? '')
    const covered = new Set(PARSERS.flatMap(each => each.covers))
    assert.ok(exported.length > 30, `${exported.length} found`)
    assert.equal(
      exported.filter(name => !covered.has(name)),
      [],
    )
    assert.equal(
      [...covered].filter(name => !exported.includes(name)).sort(),
      ['decodeTokenProfile', 'parsePkcs11Uri'],
      'those of hsm/',
    )
  },
)

fuzz('no two parsers of the table have one name', () => {
  assert.is(new Set(PARSERS.map(each => each.name)).size, PARSERS.length)
})

fuzz('a few seconds of it: 0 crashed, 0 hung, 0 beyond memory', () => {
  const { status, stdout } = spawnSync(process.execPath, [join(TOP, 'test/checks/fuzz.ts'), '--seconds', '5'], {
    encoding: 'utf8',
  })
  assert.is(status, 0, stdout)
  assert.match(stdout, /\n0 crashed, 0 hung, 0 beyond memory\n$/)
})

fuzz.run()

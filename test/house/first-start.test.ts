import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { TOP } from './tree.ts'

interface Context {
  top: string
}

/** A checkout of its own with the files named, and nothing installed. */
function checkout(context: Context, ...files: string[]): void {
  context.top = fs.mkdtempSync(path.join(os.tmpdir(), 'sealift-checkout-'))
  for (const file of files) {
    fs.mkdirSync(path.dirname(path.join(context.top, file)), { recursive: true })
    fs.copyFileSync(path.join(TOP, file), path.join(context.top, file))
  }
}

const launchers = suite<Context>('launchers', { top: '' })
const mains = { sealift: 'agent', 'sealift-provider': 'provision', 'sealift-verify': 'verify' }

launchers.before.each(context => checkout(context, ...Object.keys(mains).map(name => `bin/${name}`)))
launchers.after.each(({ top }) => fs.rmSync(top, { recursive: true }))

for (const [name, room] of Object.entries(mains)) {
  launchers(`${name} without node_modules says what to type and exits 69`, ({ top }) => {
    const { status, stdout, stderr } = spawnSync(path.join(top, 'bin', name), ['--help'], { encoding: 'utf8' })
    assert.is(status, 69)
    assert.is(stdout, '')
    assert.is(stderr, `${name}: not installed yet. Type: node ${top}/bootstrap.mjs\n`)
  })

  launchers(
    `${name} hands its arguments to ${room}/main.ts, and back its exit code, also through a link`,
    ({ top }) => {
      fs.mkdirSync(path.join(top, 'node_modules/.bin'), { recursive: true })
      fs.symlinkSync(process.execPath, path.join(top, 'node_modules/.bin/node'))
      fs.mkdirSync(path.join(top, room))
      const main =
        'const args: string[] = process.argv.slice(2)\nconsole.log(JSON.stringify(args))\nprocess.exitCode = 77\n'
      fs.writeFileSync(path.join(top, room, 'main.ts'), main)
      fs.symlinkSync(`bin/${name}`, path.join(top, 'link'))
      for (const command of [path.join('bin', name), 'link']) {
        const { status, stdout } = spawnSync(path.join(top, command), ['a b', '', '$c'], { encoding: 'utf8' })
        assert.equal(JSON.parse(stdout), ['a b', '', '$c'])
        assert.is(status, 77)
      }
    },
  )
}

const bootstrap = suite<Context>('bootstrap', { top: '' })

bootstrap.before.each(context => checkout(context, 'bootstrap.mjs', 'package.json', 'package-lock.json'))
bootstrap.after.each(({ top }) => fs.rmSync(top, { recursive: true }))

function start(top: string, searchPath: string) {
  const env = { PATH: searchPath }
  return spawnSync(process.execPath, ['bootstrap.mjs'], { cwd: top, encoding: 'utf8', env })
}

bootstrap(
  'where packages are missing and cannot be installed: exit 69, the line to type on stderr, nothing on stdout',
  ({ top }) => {
    const tools = path.join(top, 'tools')
    fs.mkdirSync(tools)
    fs.writeFileSync(path.join(tools, 'flock'), '#!/bin/sh\nshift $(($# - 3))\nexec "$@"\n', { mode: 0o755 })
    fs.symlinkSync('/bin/sh', path.join(tools, 'sh'))
    const { status, stdout, stderr } = start(top, tools)
    assert.is(status, 69, stderr)
    assert.is(stdout, '')
    assert.match(stderr, /this machine lacks .*g\+\+, make, python3\. As root type:/)
    assert.match(stderr, /\n {2}apt-get update && apt-get install -y --no-install-recommends .*g\+\+ make python3\n/)
    assert.not(fs.existsSync(path.join(top, 'node_modules')))
  },
)

bootstrap('a linked node_modules of an installed checkout is left alone', ({ top }) => {
  const other = path.join(top, 'other')
  fs.mkdirSync(path.join(other, '.bin'), { recursive: true })
  fs.writeFileSync(path.join(other, '.bin/node'), '')
  fs.symlinkSync('other', path.join(top, 'node_modules'))
  const { status, stdout, stderr } = start(top, '/usr/bin:/bin')
  assert.is(status, 0, stderr)
  assert.is(stdout + stderr, '')
  assert.equal(fs.readdirSync(other), ['.bin'])
})

bootstrap('a linked node_modules of a checkout that is not installed is named', ({ top }) => {
  fs.mkdirSync(path.join(top, 'other'))
  fs.symlinkSync('other', path.join(top, 'node_modules'))
  const { status, stderr } = start(top, '/usr/bin:/bin')
  assert.is(status, 69)
  assert.match(stderr, /node_modules is a link to a checkout that is not installed/)
})

launchers.run()
bootstrap.run()

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { TOP } from './tree.ts'

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: TOP, encoding: 'utf8' })
  return { status, said: stdout + stderr }
}

const clean = suite('clean')

clean('the type checker has nothing to say', () => {
  const { status, said } = run('node_modules/typescript/bin/tsc')
  assert.is(status, 0, said)
})

clean('the linter and formatter have nothing to say', () => {
  // the ignore file is read without git's help: an unpacked archive has no repository
  const { status, said } = run('node_modules/@biomejs/biome/bin/biome', 'check', '.')
  assert.is(status, 0, said)
})

clean('the lockfile holds every optional package and no address of a registry', () => {
  const { status, said } = run('test/house/complete-lock.mjs', '--check')
  assert.is(status, 0, said)
})

clean(
  'the lockfile was made from this package.json, and every package in it that was offered is bound by a digest',
  () => {
    const manifest = JSON.parse(fs.readFileSync(path.join(TOP, 'package.json'), 'utf8'))
    const lock = JSON.parse(fs.readFileSync(path.join(TOP, 'package-lock.json'), 'utf8'))
    for (const field of ['dependencies', 'optionalDependencies', 'devDependencies', 'engines', 'bin']) {
      assert.equal(lock.packages[''][field], manifest[field], field)
    }
    const unbound = Object.keys(lock.packages).filter(key => {
      const { integrity, os: systems, libc } = lock.packages[key]
      const elsewhere = systems !== undefined && (!systems.includes('linux') || libc?.includes('musl'))
      return key !== '' && integrity === undefined && !elsewhere
    })
    assert.equal(unbound, [])
  },
)

clean('dependencies are named by exact version', () => {
  const { dependencies, optionalDependencies, devDependencies } = JSON.parse(
    fs.readFileSync(path.join(TOP, 'package.json'), 'utf8'),
  )
  const all = Object.entries({ ...dependencies, ...optionalDependencies, ...devDependencies })
  assert.equal(
    all.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(String(version))),
    [],
  )
})

const completing = suite('npm run lock')

completing('fills in a package for another platform, drops addresses, keeps digests, and then changes nothing', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealift-lock-'))
  try {
    const file = path.join(directory, 'package-lock.json')
    const entry = { version: '1.0.0', resolved: 'https://registry.example/a.tgz', integrity: 'sha512-AAAA' }
    const optionalDependencies = { '@a/win32-x64': '1.0.0', 'a-linux-arm64-musl': '1.0.0', nested: '2.0.0' }
    fs.writeFileSync(
      file,
      JSON.stringify({
        packages: {
          '': { name: 'x' },
          'node_modules/a': { ...entry, dev: true, optionalDependencies },
          'node_modules/a/node_modules/nested': { version: '2.0.0', integrity: 'sha512-BBBB' },
        },
      }),
    )
    assert.is(run('test/house/complete-lock.mjs', '--check', file).status, 1)
    assert.is(run('test/house/complete-lock.mjs', file).status, 0)
    const { packages } = JSON.parse(fs.readFileSync(file, 'utf8'))
    assert.equal(Object.keys(packages), [
      '',
      'node_modules/@a/win32-x64',
      'node_modules/a',
      'node_modules/a-linux-arm64-musl',
      'node_modules/a/node_modules/nested',
    ])
    const { resolved: _, ...bound } = entry
    assert.equal(packages['node_modules/a'], { ...bound, dev: true, optionalDependencies })
    const musl = { version: '1.0.0', os: ['linux'], cpu: ['arm64'], libc: ['musl'], dev: true, optional: true }
    assert.equal(packages['node_modules/a-linux-arm64-musl'], musl)
    assert.is(run('test/house/complete-lock.mjs', '--check', file).status, 0)
  } finally {
    fs.rmSync(directory, { recursive: true })
  }
})

completing('refuses an optional package whose platform cannot be told', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealift-lock-'))
  try {
    const file = path.join(directory, 'package-lock.json')
    fs.writeFileSync(file, JSON.stringify({ packages: { '': { optionalDependencies: { plain: '1.0.0' } } } }))
    const { status, said } = run('test/house/complete-lock.mjs', file)
    assert.is(status, 1)
    assert.match(said, /plain: optional, not offered/)
  } finally {
    fs.rmSync(directory, { recursive: true })
  }
})

clean.run()
completing.run()

// The first start on a machine: makes `npm test` and `npm run quickstart` work from a fresh clone as the only command.
// Runs on whatever Node is there (18 or later) before anything is installed: plain JavaScript, node: imports only.
// Everything it says, and everything npm and apt say below it, goes to stderr: stdout belongs to the command that follows.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const UNAVAILABLE = 69 // sysexits EX_UNAVAILABLE: something the machine must have is missing
const BUSY = 75 // what flock is told to answer while another start holds the lock

const root = dirname(fileURLToPath(import.meta.url))
const modules = join(root, 'node_modules')
const pinned = join(modules, `node-linux-${process.arch}`)
const stampFile = join(modules, '.sealift-stamp')
const softhsmModules = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/softhsm/libsofthsm2.so',
  '/usr/local/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
]
// npm puts node_modules/.bin first; npm itself must find the Node it came with, not the pinned one it is about to replace.
const machinePath = (process.env.PATH ?? '')
  .split(delimiter)
  .filter(dir => dir !== '' && !/node_modules[/\\]\.bin[/\\]?$/.test(dir))

const say = line => process.stderr.write(`sealift: ${line}\n`)

function fail(line) {
  say(line)
  process.exit(UNAVAILABLE)
}

function onPath(tool) {
  return machinePath.some(dir => {
    try {
      accessSync(join(dir, tool), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function run(command, args, { cwd = root, env = process.env } = {}) {
  // a child that is killed has no status
  const child = spawnSync(command, args, {
    cwd,
    env: { ...env, PATH: machinePath.join(delimiter) },
    stdio: ['ignore', 2, 2],
  })
  if (child.error) say(`${command}: ${child.error.message}`)
  return child.status ?? 1
}

function wantedStamp() {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`)
  for (const name of ['package.json', 'package-lock.json']) hash.update(readFileSync(join(root, name)))
  return hash.digest('hex')
}

/** True when the last install ran to its end for this very package.json and lockfile. */
function installed() {
  return (
    existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wantedStamp() && existsSync(join(modules, '.bin/node'))
  )
}

/** A linked node_modules belongs to another checkout, which installs it. */
function linked() {
  try {
    return lstatSync(modules).isSymbolicLink()
  } catch (cause) {
    if (cause.code === 'ENOENT') return false
    throw cause
  }
}

/** Debian packages this machine lacks; the compiler only counts while something has yet to be built. */
function missingPackages() {
  const missing = softhsmModules.some(path => existsSync(path)) ? [] : ['softhsm2']
  if (!installed() && !linked()) missing.push(...['g++', 'make', 'python3'].filter(tool => !onPath(tool)))
  return missing
}

function installPackages(missing) {
  const line = `apt-get update && apt-get install -y --no-install-recommends ${missing.join(' ')}`
  if (process.getuid?.() !== 0 || !onPath('apt-get')) {
    fail(`this machine lacks ${missing.join(', ')}. As root type:\n\n  ${line}\n\nthen run the same command again.`)
  }
  say(`installing Debian packages: ${missing.join(' ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  // A failed update is not the end: another apt may hold the lists, and they may be fresh enough.
  if (run('apt-get', ['-q', 'update'], { env }) !== 0)
    say('apt-get update failed; trying with the lists that are there')
  const install = ['-q', '-o', 'DPkg::Lock::Timeout=300', 'install', '-y', '--no-install-recommends', ...missing]
  if (run('apt-get', install, { env }) !== 0)
    fail(`apt-get could not install ${missing.join(' ')} (its reason stands above). By hand: ${line}`)
}

function installModules() {
  say('installing npm packages (once; about 400 MB)')
  rmSync(stampFile, { force: true }) // from here on an interruption means: again from the start
  // Each flag answers a setting that a user's npmrc, NODE_ENV or `npm --silent` may carry in, and that would leave half a tree or hide the reason.
  const settings = [
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    '--include=dev',
    '--include=optional',
    '--bin-links',
    '--package-lock',
    '--no-engine-strict',
    '--no-dry-run',
  ]
  if (run('npm', ['ci', '--ignore-scripts', ...settings]) !== 0)
    fail('npm ci failed (its reason stands above). Run the same command again once that is mended.')
  if (!existsSync(join(pinned, 'bin/node')))
    fail(`there is no pinned Node for ${process.platform}-${process.arch}: Sealift runs on linux-x64 and linux-arm64`)
  buildPkcs11()
  const link = join(modules, '.bin/node')
  rmSync(link, { force: true }) // npm 9 leaves a bin named `node` out, newer ones make it
  symlinkSync(join('..', `node-linux-${process.arch}`, 'bin/node'), link)
  writeFileSync(`${stampFile}.new`, wantedStamp())
  renameSync(`${stampFile}.new`, stampFile) // commit point: the install counts from here
}

/**
 * The one native build, by the pinned node-gyp under the pinned Node with the headers inside it. Debian's own node-gyp links
 * libnode.so.108, and such an add-on crashes Node 24 at exit.
 */
function buildPkcs11() {
  // npm_config_* (a nodedir=/usr in ~/.npmrc arrives that way) would beat node-gyp's own arguments
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)))
  const gyp = [join(modules, 'node-gyp/bin/node-gyp.js'), 'rebuild', `--nodedir=${pinned}`, '--loglevel=warn']
  const status = run(join(pinned, 'bin/node'), gyp, { cwd: join(modules, 'pkcs11js'), env })
  if (status !== 0) fail('pkcs11js could not be built (the reason stands above)')
}

/** Runs this file again under an advisory lock on the checkout's directory: the kernel lets go of it however that run ends. */
function underLock() {
  const again = [root, process.execPath, fileURLToPath(import.meta.url), '--locked']
  let status = run('flock', ['--nonblock', '--conflict-exit-code', `${BUSY}`, ...again])
  if (status === BUSY) {
    say('another start is installing; waiting for it')
    status = run('flock', again)
  }
  process.exit(status)
}

if (Number(process.versions.node.split('.')[0]) < 18)
  fail(
    `Node ${process.versions.node} is too old to start with: 18 or later (Debian 12 has it: apt-get install nodejs npm)`,
  )
if (linked() && !existsSync(join(modules, '.bin/node')))
  fail('node_modules is a link to a checkout that is not installed: run `node bootstrap.mjs` there')
if (missingPackages().length > 0 || !(installed() || linked())) {
  if (!process.argv.includes('--locked')) {
    if (!onPath('flock')) fail('this machine lacks flock. As root type: apt-get install -y util-linux')
    underLock()
  }
  const missing = missingPackages()
  if (missing.length > 0) installPackages(missing)
  if (!installed() && !linked()) installModules()
}

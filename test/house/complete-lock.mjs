// npm run lock: completes package-lock.json after `npm install`, on any Node from 18 on.
// - An optional package that a registry does not offer (a build for another platform) is left out of the lockfile by `npm install`,
//   and `npm ci` then refuses that lockfile with "Missing: …". It gets an entry that no linux-glibc machine ever installs.
// - Addresses of the registry that happened to be used are dropped; the integrity digests stay and bind the bytes.
// With --check nothing is written: exit 1 and a line for each place that differs. A file name may be given instead of package-lock.json.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'

const SYSTEMS = ['android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32', 'aix']
const PROCESSORS = ['arm64', 'x64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'universal', 'arm']

/** The entry that `name` resolves to when `path` asks for it: beside it, or in any node_modules above. */
function resolved(packages, path, name) {
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    const key = `${at === '' ? '' : `${at}/`}node_modules/${name}`
    if (packages[key] !== undefined) return key
    if (at === '') return null
  }
}

/** Platform of a package, from its name; a name that tells none is refused: such a package must be offered. */
function platform(name) {
  const os = SYSTEMS.find(system => name.includes(system))
  const cpu = PROCESSORS.find(processor => name.includes(processor))
  if (os === undefined || cpu === undefined)
    throw new Error(`${name}: optional, not offered by the registry, and no platform in its name`)
  return { os: [os], cpu: [cpu], ...(name.includes('musl') ? { libc: ['musl'] } : {}) }
}

function complete(lock, changed) {
  const packages = { ...lock.packages }
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (packages[path].resolved !== undefined) {
      const { resolved: address, ...rest } = packages[path]
      packages[path] = rest
      changed.push(`${path}: names a registry (${new URL(address).protocol}//…)`)
    }
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (resolved(packages, path, name) !== null) continue
      packages[`node_modules/${name}`] = {
        version,
        ...platform(name),
        ...(entry.dev ? { dev: true } : {}),
        optional: true,
      }
      changed.push(`${path}: its optional ${name} ${version} is missing`)
    }
  }
  const sorted = Object.entries(packages).sort(([a], [b]) => a.localeCompare(b, 'en'))
  return { ...lock, packages: Object.fromEntries(sorted) }
}

const args = process.argv.slice(2)
const file = args.find(argument => !argument.startsWith('--')) ?? 'package-lock.json'
const changed = []
const text = `${JSON.stringify(complete(JSON.parse(readFileSync(file, 'utf8')), changed), null, 2)}\n`
for (const line of changed) console.log(line)
if (args.includes('--check')) {
  if (changed.length > 0) console.log(`${file} is not complete: npm run lock`)
  process.exitCode = changed.length > 0 ? 1 : 0
} else {
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
  console.log(`${file}: ${changed.length} changes`)
}

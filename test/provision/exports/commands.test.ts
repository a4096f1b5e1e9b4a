// timeout: 90s, test 60s
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type DeviceId, type JobId, parseId } from '../../../format/bytes.ts'
import { connectAdministration } from '../../../provision/admin-client.ts'
import { accountCommands } from '../../../provision/commands/accounts.ts'
import { deviceCommands } from '../../../provision/commands/devices.ts'
import { jobCommands } from '../../../provision/commands/jobs.ts'
import { exitCodeOf } from '../../../provision/operator.ts'
import { openRelease } from '../../../provision/release-client.ts'
import { openProvider, type Provider } from '../../../provision/serve.ts'
import { faultOf, proofOf, stationFor } from '../keystore/authority-fixture.ts'

const MAIN = fileURLToPath(new URL('../../../provision/main.ts', import.meta.url))
const ENTRY = fileURLToPath(new URL('../../../provision/keystore/main.ts', import.meta.url))

const test = suite('commands of exports')
const top = mkdtempSync(join(tmpdir(), 'sealift-ec-'))
const state = join(top, 'p')
let provider: Provider

test.before(async () => {
  execFileSync(process.execPath, [MAIN, '--state', state, 'init', '--name', 'Test provider'], { env: {} })
  provider = await openProvider({ entry: ENTRY, config: join(state, 'keystore.json') }, [])
})
test.after(async () => {
  await provider.close()
  rmSync(top, { recursive: true })
})

type Said = { code: number; out: string; errors: string }

async function say(...words: string[]): Promise<Said> {
  const [out, errors]: [string[], string[]] = [[], []]
  const write = (text: string): void => void out.push(text)
  const program = new Command('sealift-provider')
    .option('--state <dir>')
    .option('--json')
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: text => void errors.push(text) })
  for (const add of [accountCommands, jobCommands, deviceCommands]) add(program, { state, keystoreEntry: ENTRY, write })
  const code = await program.parseAsync(words, { from: 'user' }).then(
    () => 0,
    error => {
      errors.push(String(error))
      return error instanceof CommanderError ? 2 : exitCodeOf(error)
    },
  )
  return { code, out: out.join(''), errors: errors.join('') }
}
async function told<T>(...words: string[]): Promise<T> {
  const { code, out, errors } = await say('--json', ...words)
  assert.is(code, 0, errors)
  return JSON.parse(out)
}
const create = ['job', 'create', '--account', 'acme', '--bucket', 'rushes']

test('an export has an end, and nothing of what brings objects in', async () => {
  await told('account', 'create', 'acme')
  for (const [words, why] of [
    [['--mode', 'export'], /an export needs an end: --days N/],
    [['--mode', 'export', '--days', '7', '--acl', 'private'], /brings nothing in: it has no --acl$/],
    [['--mode', 'export', '--days', '7', '--acl-mode', 'copy'], /it has no --acl-mode/],
    [['--mode', 'export', '--days', '7', '--deletes', 'apply', '--versions', 'keep'], /no --deletes, no --versions/],
    [['--mode', 'export', '--days', '0'], /whole number from 1/],
    [['--days', '7'], /--days is of an export/],
    [['--mode', 'kiosk'], /Allowed choices are write-only, readable, export/],
  ] as const) {
    const { code, errors, out } = await say(...create, ...words)
    assert.is(code, 2, errors)
    assert.match(errors, why)
    assert.is(out, '')
  }
  assert.equal((await told<{ jobs: unknown[] }>('job', 'list')).jobs, [])
})

test('an export from its order to its end, over processes and sockets, with a SoftHSM at both ends', async () => {
  const before = Date.now()
  const { job, endsAt, mode } = await told<{ job: string; endsAt: number; mode: string }>(
    ...[...create, '--mode', 'export', '--days', '7', '--epoch-idle-seconds', '600'],
  )
  assert.is(mode, 'export')
  assert.ok(endsAt >= before + 7 * 86_400_000 && endsAt <= Date.now() + 7 * 86_400_000)
  const line = await say('job', 'show', job)
  assert.match(line.out, /ordered {4}acme {2}export {2}rushes {2}till 20/)
  assert.match(line.out, /export: this device opens what the provider sealed for it/)
  const prepare = (own: string, drive: string) =>
    say('--json', 'device', 'prepare', '--job', job, '--device-state', join(top, own), '--drive', join(top, drive))
  const made = await prepare('device-1', 'drive-1')
  assert.is(made.code, 0, made.errors)
  const second = await prepare('device-2', 'drive-2')
  assert.is(second.code, 1)
  assert.match(second.errors, /an export has one device/)
  const device = parseId<DeviceId>(JSON.parse(made.out).device, 'device')
  const { accessKey, secret } = await told<{ accessKey: string; secret: string }>('access-key', 'create', 'acme')
  const administration = await connectAdministration(provider.keystore.administration)
  const release = openRelease(provider.keystore.release)
  try {
    const id = parseId<JobId>(job, 'job')
    const station = await stationFor(administration, id, device)
    assert.is(await faultOf(release.exportKey(station)), 'denied', 'it has not begun')
    await administration.beginExport(id)
    const headers: [string, string][] = [
      ['x-storage-export-job', job],
      ['x-storage-export-prefix', 'a/'],
    ]
    const who = { accessKey, secretKey: secret }
    const proof = proofOf(who, 'POST', { bucket: 'rushes', key: '' }, { query: 'export', headers })
    const order = await release.orderExport({ proof, bucket: 'rushes' })
    assert.equal((await release.exportJob(station)).orders, [order])
    const epoch = await release.exportKey(station)
    assert.equal(await release.exportObjects(station, { order: order.id, epoch: epoch.epoch, objects: [] }), [])
    const { out } = await say('job', 'orders', job)
    assert.match(out, `${order.id}  "rushes/a/"  user ${order.user} by ${accessKey}`)
    assert.match(out, /in force\n$/)
    assert.is((await say('job', 'withdraw', order.id)).code, 0)
    assert.match((await say('job', 'orders', job)).out, /withdrawn 20[^ ]*\n$/)
    assert.equal((await release.exportJob(station)).orders, [])
    assert.is((await say('job', 'close', job)).code, 0)
    assert.is(await faultOf(release.exportKey(station)), 'denied')
    assert.match((await say('job', 'show', job)).out, /closed/)
    const { job: bringing } = await told<{ job: string }>(...create)
    assert.match((await say('job', 'close', bringing)).errors, /job is ordered: no close now/)
  } finally {
    release.close()
    administration.close()
  }
})

test.run()

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { inclusionProof, leafHash } from '../../format/merkle.ts'
import { encodeProof } from '../../format/proof.ts'
import { checkpointPath, manifestPath, packPath } from '../../format/volume.ts'
import { NOW } from '../format/parties.ts'
import { certify, newSigner } from '../format/signer.ts'
import { makeSmallDrive } from '../format/small-drive.ts'

const verify = suite('sealift-verify')
const MAIN = new URL('../../verify/main.ts', import.meta.url).pathname
const top = fs.mkdtempSync(path.join(os.tmpdir(), 'sealift-verify-'))
const drive = await makeSmallDrive()
const caFile = put('ca.der', drive.caCertificate)
const pack = packPath(drive.pack.pack)
const manifest = manifestPath(2)
const proof = encodeProof({
  leaf: drive.leaves[3] ?? Buffer.alloc(0),
  index: 3,
  path: await inclusionProof(3, drive.leaves.length, drive.leaves.map(leafHash)),
  checkpoint: drive.checkpoints[1] ?? Buffer.alloc(0),
  certificate: drive.deviceCertificate,
})

function put(name: string, bytes: Uint8Array): string {
  const file = path.join(top, name)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, bytes)
  return file
}

let copies = 0
/** The small drive in a folder, with some files changed (null: removed). */
function driveWith(changes: Record<string, Buffer | null> = {}): string {
  const name = `drive-${copies++}`
  for (const [file, bytes] of drive.files) if (changes[file] !== null) put(`${name}/${file}`, changes[file] ?? bytes)
  for (const [file, bytes] of Object.entries(changes))
    if (bytes !== null && !drive.files.has(file)) put(`${name}/${file}`, bytes)
  return path.join(top, name)
}

function flipped(name: string, at: number): Buffer {
  const out = Buffer.from(drive.files.get(name) ?? Buffer.alloc(0))
  const place = at < 0 ? out.length + at : at
  out[place] = (out[place] ?? 0) ^ 1
  return out
}

function run(...words: string[]): { status: number | null; out: string; error: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...words], { encoding: 'utf8' })
  return { status, out: stdout, error: stderr }
}

verify('a sound drive is sound, every body read, against CA and seal code', () => {
  const { status, out, error } = run('manifest', driveWith(), '--ca', caFile, '--seal-code', drive.code, '--deep')
  assert.is(status, 0, out + error)
  assert.match(out, /unbroken, 1 to 2/)
  assert.match(out, /1 of 1 whole, every body read/)
  assert.match(out, /\nok\n$/)
  assert.not.match(out, /note:/)
  assert.is(error, '')
})

verify('--json says the same to programs', () => {
  const { status, out } = run('manifest', driveWith(), '--ca', caFile, '--json')
  const report = JSON.parse(out)
  assert.is(status, 0)
  assert.is(report.ok, true)
  assert.is(report.found.leaves, 9)
  assert.equal(report.faults, [])
  assert.is(report.notes.length, 2) // seal code, bodies
})

verify('a manifest alone is sound; without a CA it says what was not checked', () => {
  const file = put('alone.slm', drive.files.get(manifest) ?? Buffer.alloc(0))
  const { status, out } = run('manifest', file)
  assert.is(status, 0)
  assert.match(out, /give --ca/)
  assert.match(out, /give --seal-code/)
  assert.is(run('manifest', file, '--deep').status, 2)
})

const bodyByte = drive.pack.bytes().lastIndexOf(Buffer.from('SLFT')) + 110
const broken: [title: string, changes: Record<string, Buffer | null>, fault: RegExp, deepOnly?: true][] = [
  ['a byte of a body', { [pack]: flipped(pack, bodyByte) }, /tampered.*do not fit their digest/, true],
  ['a byte of a frame', { [pack]: flipped(pack, 300) }, /tampered.*checksum/],
  ['a byte of the pack header', { [pack]: flipped(pack, 60) }, /tampered.*pack header/],
  ['a pack cut short', { [pack]: drive.pack.bytes().subarray(0, -1) }, /truncated.*that were signed/],
  [
    'a pack that goes on',
    { [pack]: Buffer.concat([drive.pack.bytes(), Buffer.alloc(1)]) },
    /tampered.*that were signed/,
  ],
  ['a pack that is gone', { [pack]: null }, /truncated.*was signed and is not there/],
  ['a pack that is there twice', { 'packs/x.pack': drive.pack.bytes() }, /mismatch.*there twice/],
  ['a leaf', { [manifest]: flipped(manifest, -1) }, /tampered.*leaves/],
  ['no manifest', { [manifest]: null }, /truncated.*no manifest/],
  ['a checkpoint that is gone', { [checkpointPath(1)]: null }, /tampered.*does not follow/],
  ['the last checkpoint gone', { [checkpointPath(2)]: null }, /mismatch.*not the manifest's/],
  [
    'a checkpoint with another signature',
    { [checkpointPath(1)]: flipped(checkpointPath(1), -1) },
    /tampered.*signature/,
  ],
  [
    'another drive',
    {
      'volume.json': Buffer.from(
        JSON.stringify({
          format: 1,
          job: drive.ids.job,
          device: drive.ids.device,
          drive: 'ab'.repeat(16),
          number: 1,
          createdAt: '',
        }),
      ),
    },
    /mismatch.*none of those/,
  ],
]
for (const [title, changes, fault, deepOnly] of broken)
  verify(`${title}: noticed, exit 65`, () => {
    const folder = driveWith(changes)
    const { status, out, error } = run('manifest', folder, '--ca', caFile, '--deep')
    assert.is(status, 65, out + error)
    assert.match(out, fault)
    assert.match(out, /NOT OK/)
    if (deepOnly) assert.is(run('manifest', folder, '--ca', caFile).status, 0)
  })

verify('an older seal that was put back is noticed by the seal code', () => {
  const { status, out } = run('manifest', driveWith(), '--seal-code', '0000-0000-0000-0000')
  assert.is(status, 65)
  assert.match(out, /wrong-code.*older state/)
})

verify('a device of another CA, and one whose certificate was not valid, are refused', async () => {
  const other = newSigner()
  const valid = { from: NOW - 1000, to: NOW + 1000 }
  const foreign = put('other.der', await certify(other, 'Other CA', other, 'Other CA', valid))
  const sameName = put('same.der', await certify(other, 'Provider CA', other, 'Provider CA', valid))
  const short = put('short.der', await certify(drive.ca, 'Provider CA', drive.ca, 'Provider CA', valid))
  const noCa = put('device.der', drive.deviceCertificate)
  for (const [file, message] of [
    [foreign, /mismatch.*not issued by/],
    [sameName, /mismatch.*not issued by/],
    [short, /mismatch.*valid/],
    [noCa, /mismatch.*authority/],
  ] as const) {
    const { status, out } = run('manifest', driveWith(), '--ca', file)
    assert.is(status, 65)
    assert.match(out, message)
  }
})

verify('a proof of one object holds, and no other object passes for it', () => {
  const file = put('a.proof.json', proof)
  const { status, out } = run('proof', file, '--ca', caFile)
  assert.is(status, 0)
  assert.match(out, /leaf 3 of 9/)
  const wrong = { ...JSON.parse(proof.toString('utf8')), leaf: drive.leaves[4]?.toString('base64') }
  assert.is(run('proof', put('b.proof.json', Buffer.from(JSON.stringify(wrong)))).status, 65)
  const shifted = { ...JSON.parse(proof.toString('utf8')), index: 2 }
  assert.is(run('proof', put('c.proof.json', Buffer.from(JSON.stringify(shifted)))).status, 65)
  assert.is(run('proof', put('d.proof.json', Buffer.from('{'))).status, 65)
})

verify('receipts hold as a whole, and one changed line breaks them', () => {
  const { status, out } = run('receipts', put('r.slr', drive.receipts), '--ca', caFile)
  assert.is(status, 0)
  assert.match(out, /held: photos\/b\.txt: its key does not open/)
  const changed = Buffer.from(drive.receipts)
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
  const wrong = run('receipts', put('s.slr', changed), '--ca', caFile, '--json')
  assert.is(wrong.status, 65)
  assert.is(JSON.parse(wrong.out).faults[0].fault, 'tampered')
})

verify('a custody log holds with the certificate of the grant beside it, or with one that is given', () => {
  const folder = driveWith()
  const log = path.join(folder, 'custody.log')
  const { status, out } = run('custody', log, '--ca', caFile)
  assert.is(status, 0)
  assert.match(out, /events +3/)
  const bytes = drive.files.get('custody.log') ?? Buffer.alloc(0)
  const alone = put('alone/custody.log', bytes)
  const missing = run('custody', alone)
  assert.is(missing.status, 2)
  assert.match(missing.error, /give --certificate/)
  assert.is(run('custody', alone, '--certificate', put('device.crt', drive.deviceCertificate)).status, 0)
  const torn = run(
    'custody',
    put('torn/custody.log', bytes.subarray(0, -1)),
    '--certificate',
    put('device.crt', drive.deviceCertificate),
  )
  assert.is(torn.status, 65)
  assert.match(torn.out, /events +2/)
  assert.match(torn.out, /truncated/)
})

verify('wrong arguments exit 2 and say what was wanted', () => {
  for (const words of [
    ['bogus'],
    ['manifest'],
    ['manifest', path.join(top, 'nowhere')],
    ['proof', path.join(top, 'nowhere')],
    ['manifest', driveWith(), '--ca', path.join(top, 'nowhere')],
    ['manifest', driveWith(), '--ca', put('no.pem', Buffer.from('x'))],
    ['manifest', driveWith(), '--bogus'],
  ]) {
    const { status, error, out } = run(...words)
    assert.is(status, 2, words.join(' '))
    assert.ok(error.length > 10)
    assert.is(out, '')
  }
  const help = run('--help')
  assert.is(help.status, 0)
  assert.match(help.out, /Examples:/)
  assert.match(help.out, /Exit codes:/)
})

verify('what a drive says of itself cannot move the cursor of a terminal', async () => {
  const device = newSigner()
  const valid = { from: NOW - 1000, to: NOW + 1e9 }
  const certificate = await certify(device, 'evil\u001b[2J', device, 'x', valid)
  const wrong = { ...JSON.parse(proof.toString('utf8')), certificate: certificate.toString('base64') }
  const { status, out } = run('proof', put('e.proof.json', Buffer.from(JSON.stringify(wrong))), '--ca', caFile)
  assert.is(status, 65)
  assert.is(out.includes(String.fromCharCode(27)), false)
})

verify.after(() => fs.rmSync(top, { recursive: true, force: true }))

verify.run()

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Destruction, encodeDestructionFile, signDestruction } from '../../format/destruction.ts'
import { verifyCommand } from '../../verify/command.ts'
import { DAY, makeParties, NOW } from '../format/parties.ts'
import { certify, newSigner } from '../format/signer.ts'

const test = suite('sealift-verify destruction')
const top = mkdtempSync(join(tmpdir(), 'sealift-destruction-'))
const { provider, device, signerCertificate, caCertificate } = await makeParties()
const record: Destruction = {
  ...{
    cause: 'shredded',
    account: 'a1',
    accountName: 'Studio\u001b[2J North',
    keyName: 'film',
    version: 3,
    epochs: 12,
  },
  ...{ keyDigest: Buffer.alloc(32, 7), by: 'anna', destroyedAt: NOW, auditRow: 5, auditHead: Buffer.alloc(32, 8) },
}
const fileOf = async (changes: Partial<Destruction> = {}, sign = provider.sign, certificate = signerCertificate) =>
  encodeDestructionFile({
    signed: await signDestruction({ ...record, ...changes }, sign),
    signerCertificate: certificate,
  })
const put = (name: string, bytes: Uint8Array): string => {
  writeFileSync(join(top, name), bytes)
  return join(top, name)
}
const ca = put('ca.der', caCertificate)
const run = async (...words: string[]) => {
  let out = ''
  const take = (text: string): void => {
    out += text
  }
  const code = await verifyCommand(['destruction', ...words], { out: take, error: take, errorIsTerminal: false })
  return { code, out }
}
test.after(() => rmSync(top, { recursive: true }))

test('a record holds against the CA, offline, and says what is gone, when, and who asked', async () => {
  const { code, out } = await run(put('good', await fileOf()), '--ca', ca)
  assert.is(code, 0, out)
  for (const said of ['destroyed for ever', 'film', 'anna', '2026-11-20', '07'.repeat(32), '08'.repeat(32)])
    assert.ok(out.includes(said), said)
  assert.not.ok(out.includes('\u001b'), 'a name moves no cursor')
  assert.match((await run(put('rotated', await fileOf({ cause: 'rotated' })), '--ca', ca)).out, /next version/)
})

test('every bit of a record outside the certificate is signed, and anything else is refused', async () => {
  const good = await fileOf()
  const end = good.indexOf(signerCertificate)
  for (let at = 0; at < end; at += 3) {
    const wrong = Buffer.from(good)
    wrong[at] = (wrong[at] ?? 0) ^ 1
    assert.is((await run(put('flipped', wrong), '--ca', ca)).code, 65, `byte ${at}`)
  }
  const stranger = newSigner()
  const own = await certify(stranger, 'grants and receipts', stranger, 'Provider CA', { from: 0, to: NOW + DAY })
  const cases: [string, Buffer][] = [
    ['signed by another', await fileOf({}, device.sign)],
    ['of another CA', await fileOf({}, stranger.sign, own)],
    ['before the certificate', await fileOf({ destroyedAt: NOW - 2 * DAY })],
    ['empty', Buffer.alloc(0)],
    ['cut', good.subarray(0, -1)],
    ['longer', Buffer.concat([good, Buffer.alloc(1)])],
    ['too long', Buffer.alloc(40_000)],
  ]
  for (const [why, bytes] of cases) assert.is((await run(put('wrong', bytes), '--ca', ca)).code, 65, why)
  assert.is((await run(join(top, 'none'), '--ca', ca)).code, 2)
})

test.run()

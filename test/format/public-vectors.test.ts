import { createHmac, createSecretKey } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openSmall } from '../../format/epoch-key.ts'
import { expand } from '../../format/kdf.ts'
import { fitsSignature, signingKey } from '../../format/signed.ts'
import { absent } from '../harness/notice.ts'
import { faultOf } from './faults.ts'

const publicVectors = suite('Wycheproof')
const folder = new URL('../../../shared/vectors/wycheproof/', import.meta.url)
type Test = Record<string, string> & { tcId: number }
type Group = Record<string, string | number> & { tests: Test[] }

function groupsOf(name: string): Group[] {
  return JSON.parse(readFileSync(new URL(name, folder), 'utf8')).testGroups
}
const hex = (test: Record<string, string | number>, name: string): Buffer => Buffer.from(String(test[name]), 'hex')

/** Runs `check` on every test of a file that fits; says how many there were not when the file is not here. */
function onFile(title: string, name: string, count: number, check: (test: Test, group: Group) => boolean): void {
  publicVectors(title, () => {
    if (!existsSync(new URL(name, folder))) return absent(`public vectors not here: ${count} cases not run`)
    let ran = 0
    for (const group of groupsOf(name)) for (const test of group.tests) if (check(test, group)) ran++
    assert.is(ran, count)
  })
}

onFile('AES-256-GCM as small seals', 'aes_gcm_test.json', 66, (test, group) => {
  if (group.keySize !== 256 || group.ivSize !== 96 || group.tagSize !== 128) return false
  const sealed = Buffer.concat([hex(test, 'iv'), hex(test, 'ct'), hex(test, 'tag')])
  const open = () => openSmall(createSecretKey(hex(test, 'key')), sealed, hex(test, 'aad'), 'it')
  if (test.result === 'valid') assert.equal(open(), hex(test, 'msg'), `${test.tcId}`)
  else assert.is(faultOf(open), 'tampered', `${test.tcId}`)
  return true
})

onFile('HKDF-SHA-384 by Extract and our Expand', 'hkdf_sha384_test.json', 54, test => {
  const size = Number(test.size)
  if (size > 48 || size < 1 || test.result !== 'valid') return false
  const salt = hex(test, 'salt')
  const prk = createHmac('sha384', salt.length === 0 ? Buffer.alloc(48) : salt)
    .update(hex(test, 'ikm'))
    .digest()
  assert.equal(expand(prk, hex(test, 'info'), size), hex(test, 'okm'), `${test.tcId}`)
  return true
})

onFile(
  'ECDSA P-256 signatures r ‖ s are judged as signed messages are',
  'ecdsa_secp256r1_sha256_p1363_test.json',
  262,
  (test, group) => {
    const key = signingKey(hex(group, 'publicKeyDer'))
    const good = fitsSignature(hex(test, 'msg'), hex(test, 'sig'), key)
    assert.is(good, test.result === 'valid', `${test.tcId}: ${test.comment}`)
    return true
  },
)

publicVectors.run()

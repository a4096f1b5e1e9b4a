import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parsePkcs11Uri, readPin } from '../../hsm/pkcs11-uri.ts'
import { TokenError } from '../../hsm/token.ts'

const test = suite('PKCS#11 URI')
const directory = mkdtempSync(join(tmpdir(), 'sealift-uri-'))
test.after(() => rmSync(directory, { recursive: true }))

const READ: [string, ReturnType<typeof parsePkcs11Uri>][] = [
  ['pkcs11:', {}],
  ['pkcs11:token=appliance', { token: 'appliance' }],
  ['pkcs11:token=my%20token;object=key%3B1', { token: 'my token', object: 'key;1' }],
  ['pkcs11:token=Schl%C3%BCssel', { token: 'Schlüssel' }],
  [
    'pkcs11:serial=0a1b;manufacturer=SoftHSM%20project;model=SoftHSM%20v2',
    { serial: '0a1b', manufacturer: 'SoftHSM project', model: 'SoftHSM v2' },
  ],
  ['pkcs11:slot-id=0', { slotId: 0 }],
  ['pkcs11:slot-id=1234567', { slotId: 1234567 }],
  ['pkcs11:id=%00%FF%2b;type=private', { id: Buffer.of(0, 255, 0x2b), type: 'private' }],
  [
    'pkcs11:token=a?module-path=/usr/lib/x.so&pin-source=file:/run/pin',
    { token: 'a', modulePath: '/usr/lib/x.so', pinSource: { from: 'file', path: '/run/pin' } },
  ],
  ['pkcs11:?pin-source=fd:3', { pinSource: { from: 'fd', fd: 3 } }],
  ['pkcs11:?pin-source=file:///run/pin', { pinSource: { from: 'file', path: '/run/pin' } }],
  ['pkcs11:?pin-source=/run/pin%20x', { pinSource: { from: 'file', path: '/run/pin x' } }],
]

for (const [uri, wanted] of READ)
  test(`${uri} is read`, () => {
    assert.equal(parsePkcs11Uri(uri), wanted)
  })

const REFUSED: [string, RegExp][] = [
  ['', /want "pkcs11:"/],
  ['PKCS11:token=a', /want "pkcs11:"/],
  ['pkcs11:token=a?pin-value=1234', /pin-value is refused/],
  ['pkcs11:pin-value=1234', /pin-value is refused/],
  ['pkcs11:x-vendor=1', /"x-vendor" is not supported/],
  ['pkcs11:token=a?x-vendor=1', /"x-vendor" is not supported/],
  ['pkcs11:library-version=2.6', /"library-version" is not supported/],
  ['pkcs11:__proto__=a', /"__proto__" is not supported/],
  ['pkcs11:constructor=a', /"constructor" is not supported/],
  ['pkcs11:module-path=/x.so', /"module-path" is not supported/],
  ['pkcs11:?token=a', /"token" is not supported/],
  ['pkcs11:token=a;token=b', /given twice/],
  ['pkcs11:token', /no value/],
  ['pkcs11:token=', /no value/],
  ['pkcs11:token=a;', /not supported/],
  ['pkcs11:token=a b', /percent-encoded/],
  ['pkcs11:token=ü', /percent-encoded/],
  ['pkcs11:token=%2', /percent-encoded/],
  ['pkcs11:token=%zz', /percent-encoded/],
  ['pkcs11:token=%FF', /not UTF-8/],
  ['pkcs11:token=a%00', /NUL/],
  [`pkcs11:token=${'a'.repeat(33)}`, /longer than 32/],
  ['pkcs11:slot-id=-1', /whole number/],
  ['pkcs11:slot-id=1e3', /whole number/],
  ['pkcs11:slot-id=9999999999999999', /whole number/],
  ['pkcs11:type=secret', /want one of/],
  ['pkcs11:?module-path=x.so', /absolute path/],
  ['pkcs11:?pin-source=|cat', /file:\/absolute/],
  ['pkcs11:?pin-source=file:pin', /file:\/absolute/],
  ['pkcs11:?pin-source=fd:x', /file:\/absolute/],
  [`pkcs11:object=${'a'.repeat(5000)}`, /longer than 4096/],
]

for (const [uri, message] of REFUSED)
  test(`${uri.slice(0, 50)} is refused`, () => {
    refuses(() => parsePkcs11Uri(uri), message)
  })

test('the refusal of a pin-value does not repeat it', () => {
  refuses(() => parsePkcs11Uri('pkcs11:?pin-value=hunter2'), /^(?!.*hunter2)/)
})

test('a PIN file is one line, with or without its end', () => {
  for (const [content, pin] of [
    ['1234', '1234'],
    ['1234\n', '1234'],
    ['1234\nsecond line', '1234'],
    ['x'.repeat(256), 'x'.repeat(256)],
  ] as const)
    assert.is(readPin({ from: 'file', path: file(content) }).toString(), pin)
})

test('a PIN is read from an open file descriptor', () => {
  const fd = openSync(file('from-descriptor\n'), 'r')
  assert.is(readPin({ from: 'fd', fd }).toString(), 'from-descriptor')
  closeSync(fd)
})

test('a PIN file that is empty, too long, missing or open to others is refused', () => {
  refuses(() => readPin({ from: 'file', path: file('') }), /one line of 1 to 256/)
  refuses(() => readPin({ from: 'file', path: file('\n') }), /one line of 1 to 256/)
  refuses(() => readPin({ from: 'file', path: file('x'.repeat(257)) }), /one line of 1 to 256/)
  refuses(() => readPin({ from: 'file', path: join(directory, 'missing') }), /cannot read file/)
  refuses(() => readPin({ from: 'file', path: file('1234', 0o640) }), /chmod 600/)
  refuses(() => readPin({ from: 'fd', fd: 999 }), /cannot read file descriptor 999/)
})

let files = 0
function file(content: string, mode = 0o600): string {
  const path = join(directory, `pin-${files++}`)
  writeFileSync(path, content, { mode })
  return path
}

function refuses(doing: () => unknown, message: RegExp): void {
  try {
    doing()
  } catch (error) {
    assert.instance(error, TokenError)
    if (!(error instanceof TokenError)) return
    assert.is(error.fault, 'configuration')
    assert.match(error.message, message)
    return
  }
  assert.unreachable('was not refused')
}

test.run()

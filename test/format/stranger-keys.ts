/** Of the second decoder (`stranger.ts`): signatures, key records, trees and grants, from FORMAT.md alone. */
import { createECDH, createHmac, createPublicKey, hkdfSync, verify } from 'node:crypto'
import { decode, encode } from 'cborg'
import { ascii, demand, expand, gcmOpen, label, sha, smallOpen } from './stranger-bytes.ts'

/** §2.4: the payload of a signed message. */
export function openSigned(message: Buffer, kind: string, spki: Buffer): Record<string, unknown> {
  const [found, payload, signature] = decode(message)
  demand(found === kind, 'kind')
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  const signed = Buffer.concat([ascii(`sealift/v1 ${kind}`), Buffer.of(0), payload])
  demand(verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, signature), 'signature')
  return decode(payload)
}

/** §5, §14: the epoch key out of a key record, with the P-256 private key (32 bytes) of a recipient. */
export function openKeyRecord(message: Buffer, deviceSpki: Buffer, privateKey: Buffer): Buffer {
  const { recipients, ...head } = openSigned(message, 'key-record', deviceSpki)
  const own = createECDH('prime256v1')
  own.setPrivateKey(privateKey)
  const spki = Buffer.concat([
    Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex'),
    own.getPublicKey(),
  ])
  const keyId = sha('sha256', spki).subarray(0, 16)
  if (!Array.isArray(recipients)) throw new Error('stranger: recipients')
  const stanza = recipients.find(each => keyId.equals(each.key) && each.suite === 0x10)
  const aad = sha('sha256', label('recipient', encode(head), Buffer.of(0x00, 0x10), keyId))
  const shared = own.computeSecret(stanza.enc)
  const kem = Buffer.concat([ascii('KEM'), Buffer.of(0x00, 0x10)])
  const prk = extract('', kem, 'eae_prk', shared)
  const secret = labeled(prk, kem, 'shared_secret', Buffer.concat([stanza.enc, own.getPublicKey()]), 32)
  const suite = Buffer.concat([ascii('HPKE'), Buffer.of(0, 0x10, 0, 1, 0, 2)])
  const info = ascii('sealift/v1 epoch')
  const context = Buffer.concat([
    Buffer.of(0),
    extract('', suite, 'psk_id_hash', Buffer.alloc(0)),
    extract('', suite, 'info_hash', info),
  ])
  const last = extract(secret, suite, 'secret', Buffer.alloc(0))
  const key = labeled(last, suite, 'key', context, 32)
  const nonce = labeled(last, suite, 'base_nonce', context, 12)
  const ct = Buffer.from(stanza.ct)
  const epochKey = gcmOpen(key, nonce, ct.subarray(0, -16), ct.subarray(-16), aad)
  const { job, epoch, commitment } = head
  if (!(job instanceof Uint8Array && epoch instanceof Uint8Array && commitment instanceof Uint8Array))
    throw new Error('stranger: key record')
  const wanted = expand(epochKey, label('epoch commitment', job, epoch), 32)
  demand(wanted.equals(commitment), 'commitment')
  return epochKey
}

function extract(salt: Uint8Array | string, suite: Buffer, name: string, ikm: Uint8Array): Buffer {
  return createHmac('sha256', salt).update('HPKE-v1').update(suite).update(name).update(ikm).digest()
}

function labeled(prk: Buffer, suite: Buffer, name: string, info: Buffer, n: number): Buffer {
  const text = Buffer.concat([Buffer.of(0, n), ascii('HPKE-v1'), suite, ascii(name), info, Buffer.of(1)])
  return createHmac('sha256', prk).update(text).digest().subarray(0, n)
}

/** §7.2: the root over leaf hashes, straight from the definition. */
export function treeRoot(leaves: Uint8Array[]): Buffer {
  const [only] = leaves
  if (only === undefined) return sha('sha256')
  if (leaves.length === 1) return sha('sha256', Buffer.of(0), only)
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  return sha('sha256', Buffer.of(1), treeRoot(leaves.slice(0, k)), treeRoot(leaves.slice(k)))
}

/** §8.2: the 15 bytes of an unlock code, the keys that it makes, and the grant share in a grant file. */
export function openGrant(file: Buffer, grantId: string, code: string): Buffer {
  const symbols = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
  const typed = code.replaceAll('-', '')
  let value = 0n
  for (const each of typed.slice(0, 24)) value = value * 32n + BigInt(symbols.indexOf(each))
  demand(`${symbols}*~$=U`[Number(value % 37n)] === typed[24], 'check symbol')
  const secret = Buffer.from(value.toString(16).padStart(30, '0'), 'hex')
  const k = (purpose: string): Buffer =>
    Buffer.from(hkdfSync('sha256', secret, Buffer.from(grantId, 'hex'), `sealift unlock v1 ${purpose}`, 32))
  const { signed, commitment, sealed } = decode(file)
  const grantHash = sha('sha256', signed)
  demand(expand(k('commitment'), label('unlock commitment', grantHash), 32).equals(commitment), 'unlock code')
  return smallOpen(k('open grant'), Buffer.from(sealed), label('grant share', grantHash))
}

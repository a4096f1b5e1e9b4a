import { decodeCbor, encodeCbor, Fields } from './cbor.ts'
import { FormatError } from './fault.ts'
import { parseSigned, type Sign, signMessage, verifySigned } from './signed.ts'

/**
 * That a master key of the provider is gone from its token, signed by the provider: the proof of crypto-shredding, or of the end of a
 * rotation. What it does not say is that no copy of the token was ever made. @see FORMAT.md §9.4
 */
export type Destruction = {
  /** `rotated`: its epochs were sealed to the version after it first; `shredded`: they can never be opened again */
  cause: (typeof DESTRUCTION_CAUSES)[number]
  /** id and name of the account whose key it was */
  account: string
  accountName: string
  /** empty for the account's own */
  keyName: string
  version: number
  /** SHA-256 of its SubjectPublicKeyInfo */
  keyDigest: Buffer
  /** that it opened when it was destroyed or, rotated, that are sealed anew */
  epochs: number
  /** who asked, as the provider's operator named himself */
  by: string
  /** ms since 1970 */
  destroyedAt: number
  /** last row of the provider's audit, which has said so, and its hash */
  auditRow: number
  auditHead: Buffer
}
export const DESTRUCTION_CAUSES = ['rotated', 'shredded'] as const

/** The record, and the X.509 certificate (DER) of the key that signed it. */
export type DestructionFile = { signed: Buffer; signerCertificate: Buffer }

const RECORD_LIMIT = 8 << 10
const CERTIFICATE_LIMIT = 16 << 10
export const DESTRUCTION_FILE_LIMIT = 32 << 10

export function signDestruction(record: Destruction, sign: Sign): Promise<Buffer> {
  const { cause, account, accountName, keyName, version, keyDigest, epochs, by, destroyedAt } = record
  return signMessage(
    'destruction',
    {
      v: 1,
      cause,
      account,
      name: accountName,
      key: keyName,
      version,
      digest: keyDigest,
      epochs,
      by,
      at: destroyedAt,
      row: record.auditRow,
      head: record.auditHead,
    },
    sign,
  )
}

/** @param signer - SPKI of the provider's receipt-signing key */
export function verifyDestruction(bytes: Uint8Array, signer: Uint8Array): Destruction {
  const fields = verifySigned(parseSigned(bytes, 'destruction', RECORD_LIMIT), signer)
  fields.version(1)
  const record: Destruction = {
    cause: fields.oneOf('cause', DESTRUCTION_CAUSES),
    account: fields.text('account', 128),
    accountName: fields.text('name', 256),
    keyName: fields.text('key', 256),
    version: fields.count('version'),
    keyDigest: fields.bytes('digest', 32),
    epochs: fields.count('epochs'),
    by: fields.text('by', 256),
    destroyedAt: fields.count('at'),
    auditRow: fields.count('row'),
    auditHead: fields.bytes('head', 32),
  }
  fields.end()
  return record
}

export function encodeDestructionFile({ signed, signerCertificate }: DestructionFile): Buffer {
  return encodeCbor(['sealift-destruction', signed, signerCertificate])
}

/** The signature is not judged here: `verifyDestruction` does. @throws FormatError "malformed" | "limit" */
export function parseDestructionFile(bytes: Uint8Array): DestructionFile {
  const value = decodeCbor(bytes, DESTRUCTION_FILE_LIMIT, 'destruction')
  if (!Array.isArray(value) || value.length !== 3 || value[0] !== 'sealift-destruction')
    throw new FormatError('malformed', 'destruction: wanted the record of a key that was destroyed')
  const fields = new Fields({ signed: value[1] ?? null, certificate: value[2] ?? null }, 'destruction')
  return {
    signed: fields.bytes('signed', { max: RECORD_LIMIT }),
    signerCertificate: fields.bytes('certificate', { max: CERTIFICATE_LIMIT }),
  }
}

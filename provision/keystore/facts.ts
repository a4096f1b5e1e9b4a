import { X509Certificate } from 'node:crypto'
import type { Kysely } from 'kysely'
import { equalBytes } from '../../format/bytes.ts'
import type { PublicKey } from '../../format/wrap-suite.ts'
import { createAuthority, issueCertificate } from '../../hsm/certificate.ts'
import { createRequest } from '../../hsm/csr.ts'
import { type Token, TokenError } from '../../hsm/token.ts'
import type { KeystoreSchema } from '../database/keystore-schema.ts'
import { putFact } from './audit.ts'
import { openingKeyOf, openingSuite, signingKeyOf, TOKEN_KEYS } from './keys/token-keys.ts'
import { newStateKey } from './state-key.ts'

/** What is made once, at the authority's beginning. DER each. */
export type Facts = {
  caCertificate: Buffer
  grantCertificate: Buffer
  receiptCertificate: Buffer
  grantSpki: Buffer
  receiptSpki: Buffer
  sealedStateKey: Buffer
  /** what is sealed to it opens in the token only */
  stateRecipient: PublicKey
  validFrom: Date
}

const NAMES = ['ca-certificate', 'grant-certificate', 'receipt-certificate', 'state-key', 'state-recipient'] as const
const YEAR_MS = 365 * 86_400_000
const CA_YEARS = 20

/**
 * Makes the authority's keys and certificates. Cut off and done again it goes on with the keys that are there.
 * @throws TokenError "exists" - it was done before
 */
export async function makeFacts(
  database: Kysely<KeystoreSchema>,
  token: Token,
  commonName: string,
  clock: () => number,
): Promise<void> {
  if ((await factOf(database, 'state-key')) !== null)
    throw new TokenError('exists', 'this authority was initialised before')
  for (const label of [TOKEN_KEYS.ca, TOKEN_KEYS.grant, TOKEN_KEYS.receipt]) await signingKeyOf(token, label)
  const recipient = await openingKeyOf(token, TOKEN_KEYS.state)
  const now = clock()
  const validity = { notBefore: new Date(now - 300_000), notAfter: new Date(now + CA_YEARS * YEAR_MS) }
  const ca = await createAuthority(token, TOKEN_KEYS.ca, commonName, validity)
  const certificate = async (label: string, purpose: string): Promise<Buffer> => {
    const request = await createRequest(token, label, purpose)
    return issueCertificate(token, TOKEN_KEYS.ca, ca, request, validity)
  }
  const values: Record<(typeof NAMES)[number], Buffer> = {
    'ca-certificate': ca,
    'grant-certificate': await certificate(TOKEN_KEYS.grant, 'Sealift grants'),
    'receipt-certificate': await certificate(TOKEN_KEYS.receipt, 'Sealift receipts'),
    'state-key': newStateKey(recipient),
    'state-recipient': recipient.spki,
  }
  await database.transaction().execute(async transaction => {
    for (const name of NAMES) await putFact(transaction, name, values[name])
  }) // commit point: with its facts there is an authority
}

/** @throws TokenError "configuration" - never initialised, or with another token */
export async function readFacts(database: Kysely<KeystoreSchema>, token: Token): Promise<Facts> {
  const need = async (name: (typeof NAMES)[number]): Promise<Buffer> => {
    const value = await factOf(database, name)
    if (value === null)
      throw new TokenError(
        'configuration',
        'there is no authority in this state directory: run `sealift-provider init`',
      )
    return value
  }
  const [caCertificate, grantCertificate, receiptCertificate] = [
    await need('ca-certificate'),
    await need('grant-certificate'),
    await need('receipt-certificate'),
  ]
  const grantSpki = spkiOf(grantCertificate)
  const inToken = await token.publicKey(TOKEN_KEYS.grant)
  if (inToken === null || !equalBytes(inToken.spki, grantSpki))
    throw new TokenError('configuration', `token ${token.profile.label} is not the one that this authority began with`)
  return {
    caCertificate,
    grantCertificate,
    receiptCertificate,
    grantSpki,
    receiptSpki: spkiOf(receiptCertificate),
    sealedStateKey: await need('state-key'),
    stateRecipient: { suite: openingSuite(token), spki: await need('state-recipient') },
    validFrom: new X509Certificate(caCertificate).validFromDate,
  }
}

async function factOf(database: Kysely<KeystoreSchema>, name: string): Promise<Buffer | null> {
  const row = await database.selectFrom('facts').select('value').where('name', '=', name).executeTakeFirst()
  return row?.value ?? null
}

function spkiOf(certificate: Buffer): Buffer {
  return new X509Certificate(certificate).publicKey.export({ format: 'der', type: 'spki' })
}

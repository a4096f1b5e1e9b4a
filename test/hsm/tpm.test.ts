import { suite } from 'uvu'
import { absent } from '../harness/notice.ts'
import { tokenContract } from './token-contract.ts'
import { tpmParts, tpmToken } from './tpm-fixture.ts'

const parts = tpmParts()

// tpm2-pkcs11 1.9 decrypts RSA-OAEP-SHA256; it derives nothing, wraps nothing and has no AES-GCM.
const test = Array.isArray(parts)
  ? suite('token contract: TPM 2.0')
  : tokenContract('TPM 2.0', [0x0020], () => tpmToken(parts, 'contract'))
if (Array.isArray(parts)) {
  const missing = parts.join(', ')
  test('a software TPM passes the token contract', () => absent(`no software TPM (${missing}): token contract not run`))
}

test.run()

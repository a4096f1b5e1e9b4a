import { suite } from 'uvu'
import { tokenContract } from './token-contract.ts'
import { tpmParts, tpmToken } from './tpm-fixture.ts'

const parts = tpmParts()
if (Array.isArray(parts)) console.log(`not run: a software TPM; missing here: ${parts.join(', ')}`)

// tpm2-pkcs11 1.9 decrypts RSA-OAEP-SHA256; it derives nothing, wraps nothing and has no AES-GCM.
const test = Array.isArray(parts)
  ? suite('token contract: TPM 2.0')
  : tokenContract('TPM 2.0', [0x0020], () => tpmToken(parts, 'contract'))
if (Array.isArray(parts)) test.skip('a software TPM passes the token contract')

test.run()

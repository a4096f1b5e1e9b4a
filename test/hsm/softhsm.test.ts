import { softHsmToken } from './softhsm-fixture.ts'
import { tokenContract } from './token-contract.ts'

// SoftHSM 2.6.1 has RSA-OAEP with SHA-1 only: 0x0020 is absent.
const test = tokenContract('SoftHSM', [0x0010, 0x0030, 0x0031], () => softHsmToken('contract'))

test.run()

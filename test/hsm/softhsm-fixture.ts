/** A SoftHSM token of its own in a temporary directory. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  initialiseToken,
  openPkcs11Token,
  type Pkcs11Token,
  type Pkcs11TokenConfig,
  TOKEN_TIMEOUTS,
} from '../../hsm/pkcs11-token.ts'
import { newSoftHsmPin, prepareSoftHsm, softHsmModule } from '../../hsm/softhsm.ts'

export type SoftHsmFixture = {
  token: Pkcs11Token
  config: Pkcs11TokenConfig & { pin: Buffer }
  directory: string
  remove(): Promise<void>
}

export async function softHsmToken(
  label: string,
  timeouts: { callTimeoutMs: number; generateTimeoutMs: number } = TOKEN_TIMEOUTS,
): Promise<SoftHsmFixture> {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-softhsm-'))
  const process = { environment: prepareSoftHsm(directory), ...timeouts }
  const modulePath = softHsmModule()
  const pin = newSoftHsmPin()
  await initialiseToken({ ...process, modulePath, label }, { securityOfficer: newSoftHsmPin(), user: pin })
  const config = { ...process, uri: { token: label, modulePath }, pin }
  const token = await openPkcs11Token(config)
  return {
    token,
    config,
    directory,
    async remove() {
      await token.close()
      rmSync(directory, { recursive: true })
    },
  }
}

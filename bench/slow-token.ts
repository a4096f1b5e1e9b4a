/** A token that takes 100 ms a call: SoftHSM behind a module that waits. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { initialiseToken, TOKEN_TIMEOUTS } from '../hsm/pkcs11-token.ts'
import { newSoftHsmPin, prepareSoftHsm, softHsmModule } from '../hsm/softhsm.ts'
import type { Place } from './place.ts'
import { perform } from './program.ts'

const SOURCE = fileURLToPath(new URL('./slow-token.c', import.meta.url))
const LABEL = 'slow'

/** @returns its PKCS#11 URI, for `--token` */
export async function makeSlowToken(place: Place): Promise<string> {
  const home = place.make('slow-token')
  const environment = prepareSoftHsm(join(home, 'softhsm'))
  const module = join(home, 'slow-token.so')
  const names = [`-DMODULE="${softHsmModule()}"`, `-DSOFTHSM="${environment.SOFTHSM2_CONF}"`]
  await perform('cc', ['-shared', '-fPIC', '-O1', ...names, '-o', module, SOURCE, '-ldl'])
  const pins = { securityOfficer: newSoftHsmPin(), user: newSoftHsmPin() }
  const pin = join(home, 'pin')
  writeFileSync(pin, pins.user, { mode: 0o600 })
  await initialiseToken({ environment, ...TOKEN_TIMEOUTS, modulePath: softHsmModule(), label: LABEL }, pins)
  return `pkcs11:token=${LABEL}?module-path=${module}&pin-source=file:${pin}`
}

/** The one session of a token process: module, slot, login. Synchronous PKCS#11 calls only: pkcs11js's others corrupt or leak memory. */
import pkcs11 from 'pkcs11js'
import { TokenError } from '../token.ts'
import { tokenError } from './faults.ts'
import type { TokenIdentity, TokenSelector } from './messages.ts'

const CKR_USER_ALREADY_LOGGED_IN = 0x100
const TOKEN_LABEL_BYTES = 32

export function loadModule(path: string): pkcs11.PKCS11 {
  const module = new pkcs11.PKCS11()
  try {
    module.load(path)
    // Without the flag a module may assume that it is alone in its process. Never finalized: loaded for the process's life.
    module.C_Initialize({ flags: pkcs11.CKF_OS_LOCKING_OK })
  } catch (cause) {
    const why = cause instanceof pkcs11.Pkcs11Error ? cause.message : 'the file is not such a library'
    throw new TokenError('absent', `PKCS#11 module ${path} does not start: ${why}`, { cause })
  }
  return module
}

export type KeyHandles = { private?: pkcs11.Handle; public?: pkcs11.Handle; secret?: pkcs11.Handle }

export class Session {
  readonly module: pkcs11.PKCS11
  /** Handles by label. Valid in this session only, so they are forgotten with it. */
  readonly keys = new Map<string, KeyHandles>()
  /** Operations with a key or the random generator since the process began. */
  used = 0
  readonly #select: TokenSelector
  #pin: string
  #handle: pkcs11.Handle | null = null

  constructor(module: pkcs11.PKCS11, select: TokenSelector, pin: string) {
    this.module = module
    this.#select = select
    this.#pin = pin
  }

  /** The open session's handle; opens and logs in when there is none. */
  get handle(): pkcs11.Handle {
    this.#handle ??= this.#opened()
    return this.#handle
  }

  identity(): TokenIdentity {
    return identityOf(this.module.C_GetTokenInfo(findSlot(this.module, this.#select)))
  }

  /** After any error: some modules keep the failed operation active, and every later call on that session fails. */
  drop(): void {
    const handle = this.#handle
    this.#handle = null
    this.keys.clear()
    if (handle === null) return
    try {
      this.module.C_CloseSession(handle)
    } catch {
      // Gone already, and with it all that it held.
    }
  }

  changePin(newPin: string): void {
    this.module.C_SetPIN(this.handle, this.#pin, newPin)
    this.#pin = newPin
  }

  #opened(): pkcs11.Handle {
    const slot = findSlot(this.module, this.#select)
    const handle = this.module.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION)
    try {
      this.module.C_Login(handle, pkcs11.CKU_USER, this.#pin)
    } catch (error) {
      if (error instanceof pkcs11.Pkcs11Error && error.code === CKR_USER_ALREADY_LOGGED_IN) return handle
      this.module.C_CloseSession(handle)
      throw tokenError(error, 'login')
    }
    return handle
  }
}

/** Makes a token on an unused slot. Never overwrites one. */
export function initialiseToken(
  module: pkcs11.PKCS11,
  slotId: number | null,
  label: string,
  pins: { securityOfficer: string; user: string },
): TokenIdentity {
  if (Buffer.byteLength(label) > TOKEN_LABEL_BYTES || label.trim() === '')
    throw new TokenError('configuration', `token label: want 1 to ${TOKEN_LABEL_BYTES} bytes`)
  if (slotsMatching(module, { token: label }).length > 0)
    throw new TokenError('exists', `there is a token labelled "${label}" already`)
  const unused = slotsMatching(module, slotId === null ? {} : { slotId }, { initialised: false })
  const slot = unused.at(-1) // both SoftHSM and tpm2-pkcs11 offer the free one last
  if (slot === undefined) throw new TokenError('absent', 'no slot with an unused token')
  // pkcs11js pads with NUL, PKCS#11 wants blanks: with NULs `token=` never matches.
  const padded = label + ' '.repeat(TOKEN_LABEL_BYTES - Buffer.byteLength(label))
  module.C_InitToken(slot, pins.securityOfficer, padded)
  // SoftHSM gives the new token another slot: read the list again.
  const made = findSlot(module, { token: label })
  const session = module.C_OpenSession(made, pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION)
  try {
    module.C_Login(session, pkcs11.CKU_SO, pins.securityOfficer)
    module.C_InitPIN(session, pins.user)
    module.C_Logout(session)
  } finally {
    module.C_CloseSession(session)
  }
  return identityOf(module.C_GetTokenInfo(made))
}

function findSlot(module: pkcs11.PKCS11, select: TokenSelector): pkcs11.Handle {
  const [slot, ...more] = slotsMatching(module, select)
  if (slot === undefined) throw new TokenError('absent', `no token matches ${JSON.stringify(select)}`)
  if (more.length > 0)
    throw new TokenError(
      'configuration',
      `${more.length + 1} tokens match ${JSON.stringify(select)}: name one by serial`,
    )
  return slot
}

function slotsMatching(
  module: pkcs11.PKCS11,
  select: TokenSelector,
  { initialised }: { initialised: boolean } = { initialised: true },
): pkcs11.Handle[] {
  return module.C_GetSlotList(true).filter(slot => {
    const info = module.C_GetTokenInfo(slot)
    if (((info.flags & pkcs11.CKF_TOKEN_INITIALIZED) !== 0) !== initialised) return false
    const found = identityOf(info)
    return (
      (select.token ?? found.label) === found.label &&
      (select.serial ?? found.serial) === found.serial &&
      (select.manufacturer ?? found.manufacturer) === found.manufacturer &&
      (select.model ?? found.model) === found.model &&
      (select.slotId === undefined || BigInt(select.slotId) === slotNumber(slot))
    )
  })
}

function identityOf(info: pkcs11.TokenInfo): TokenIdentity {
  const padded = { label: info.label, manufacturer: info.manufacturerID, model: info.model, serial: info.serialNumber }
  const trim = (value: string) => value.replace(/[ \0]+$/, '')
  return {
    label: trim(padded.label),
    manufacturer: trim(padded.manufacturer),
    model: trim(padded.model),
    serial: trim(padded.serial),
  }
}

/** pkcs11js gives a CK_ULONG as its 8 bytes in memory. */
function slotNumber(slot: pkcs11.Handle): bigint {
  return slot.readBigUInt64LE()
}

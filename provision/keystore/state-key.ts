import { createHmac, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { decodeCbor, encodeCbor, Fields } from '../../format/cbor.ts'
import { openSmall, sealSmall } from '../../format/epoch-key.ts'
import { expand, label } from '../../format/kdf.ts'
import { type PublicKey, type SealContext, type SealedSecret, sealTo, wrapSuite } from '../../format/wrap-suite.ts'
import type { Token } from '../../hsm/token.ts'
import { TOKEN_KEYS } from './keys/token-keys.ts'

/** What is secret at rest in the authority's tables is sealed under it; it is itself sealed to the token. */
export type StateKey = {
  seal(plain: Uint8Array, what: string): Buffer
  /** @throws FormatError "tampered" */
  open(sealed: Uint8Array, what: string): Buffer
  /** what leaves this process and comes back, sealed under a key of its own: tickets of sessions, logins that were begun */
  tickets: Pick<StateKey, 'seal' | 'open'>
  /** 32 bytes that only whoever has the token can make: for the audit's head */
  mac(bytes: Uint8Array): Buffer
  /** the same under a key of its own: for tickets of uploads */
  ticketMac(bytes: Uint8Array): Buffer
}

const CONTEXT: SealContext = { info: 'sealift/v1 state key', aad: Buffer.alloc(0) }

export function encodeSealedSecret(sealed: SealedSecret): Buffer {
  return encodeCbor({ suite: sealed.suite, enc: sealed.encapsulated, ct: sealed.ciphertext })
}

export function decodeSealedSecret(bytes: Uint8Array): SealedSecret {
  const fields = new Fields(decodeCbor(bytes, 8192, 'sealed secret'), 'sealed secret')
  const sealed = {
    suite: wrapSuite(fields.count('suite', 0xffff)),
    encapsulated: fields.bytes('enc', { max: 2048 }),
    ciphertext: fields.bytes('ct', { max: 2048 }),
  }
  fields.end()
  return sealed
}

/** @returns the sealed form of a new state key */
export function newStateKey(to: PublicKey): Buffer {
  const key = randomBytes(32)
  const sealed = encodeSealedSecret(sealTo(to, key, CONTEXT))
  key.fill(0)
  return sealed
}

/** One token operation a start. @throws TokenError "refused" - of another token */
export async function openStateKey(token: Token, sealed: Uint8Array): Promise<StateKey> {
  const key = await token.open(TOKEN_KEYS.state, decodeSealedSecret(sealed), CONTEXT)
  const part = (purpose: string): KeyObject => {
    const raw = expand(key, label(purpose), 32)
    const made = createSecretKey(raw)
    raw.fill(0)
    return made
  }
  const [secrets, marks, tickets] = [part('state secrets'), part('state marks'), part('session tickets')]
  const uploads = part('upload tickets')
  key.fill(0)
  const aad = (what: string) => label('state secret', Buffer.from(what, 'utf8'))
  return {
    seal: (plain, what) => sealSmall(secrets, plain, aad(what)),
    open: (bytes, what) => openSmall(secrets, bytes, aad(what), what),
    tickets: {
      seal: (plain, what) => sealSmall(tickets, plain, aad(what)),
      open: (bytes, what) => openSmall(tickets, bytes, aad(what), what),
    },
    mac: bytes => createHmac('sha256', marks).update(bytes).digest(),
    ticketMac: bytes => createHmac('sha256', uploads).update(bytes).digest(),
  }
}

/**
 * What parent and token process say to each other: one JSON object a line, buffers as `{"base64":"…"}`.
 *
 * Descriptor 3 carries requests and replies, one request at a time. Descriptor 4 carries the PIN (for `initialise`: the
 * security officer's PIN, then the user's), a line each, once.
 */
import type { PublicKey, SealContext, SealedSecret, SymmetricSuite } from '../../format/wrap-suite.ts'
import type { Pkcs11Uri } from '../pkcs11-uri.ts'
import type { TokenFault } from '../token.ts'

export const LINE_CHARACTERS_MAX = 1 << 20

export type TokenIdentity = { label: string; manufacturer: string; model: string; serial: string }
export type TokenSelector = Pick<Pkcs11Uri, 'token' | 'serial' | 'manufacturer' | 'model' | 'slotId'>

export type Commands = {
  attach: { params: { module: string; select: TokenSelector }; answer: TokenIdentity }
  initialise: { params: { module: string; slotId: number | null; label: string }; answer: TokenIdentity }
  changePin: { params: { newPin: string }; answer: null }
  makePair: { params: { label: string; purpose: PublicKey['suite']; lasting: boolean }; answer: PublicKey }
  makeSymmetric: { params: { label: string; suite: SymmetricSuite; mechanism: number }; answer: null }
  importSymmetric: {
    params: { label: string; suite: SymmetricSuite; mechanism: number; value: Buffer }
    answer: null
  }
  publicKey: { params: { label: string }; answer: PublicKey | null }
  destroy: { params: { label: string }; answer: boolean }
  sign: { params: { label: string; digest: Buffer }; answer: Buffer }
  open: {
    params: { label: string; sealed: SealedSecret; context: SealContext; mechanism: number }
    answer: Buffer
  }
  seal: {
    params: { label: string; suite: SymmetricSuite; mechanism: number; secret: Buffer; context: SealContext }
    answer: SealedSecret
  }
  random: { params: { length: number }; answer: Buffer }
  health: { params: Record<string, never>; answer: null }
}
export type CommandName = keyof Commands
export type Request = { [Name in CommandName]: { op: Name; params: Commands[Name]['params'] } }[CommandName]

/** `used`: how many operations with a key or the random generator the request came to, failed ones included. */
export type Reply = { used: number } & ({ answer: unknown } | { fault: TokenFault; message: string })

export function encodeMessage(message: Request | Reply): string {
  return `${JSON.stringify(message, (_key, value: unknown) => (isBufferJson(value) ? { base64: Buffer.from(value.data).toString('base64') } : value))}\n`
}

/** Both ends are ours and start together: the shape is trusted, the framing is checked. */
export function decodeMessage<Message extends Request | Reply>(line: string): Message {
  return JSON.parse(line, (_key, value: unknown) => (isBase64(value) ? Buffer.from(value.base64, 'base64') : value))
}

/** Cuts a byte stream into lines. Anything longer than the bound ends the conversation with an error. */
export function lineReader(onLine: (line: string) => void): (chunk: Buffer) => void {
  let rest = ''
  const decoder = new TextDecoder()
  return chunk => {
    rest += decoder.decode(chunk, { stream: true })
    for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n')) {
      const line = rest.slice(0, end)
      rest = rest.slice(end + 1)
      onLine(line)
    }
    if (rest.length > LINE_CHARACTERS_MAX) throw new RangeError('token process: line too long')
  }
}

function isBufferJson(value: unknown): value is { type: 'Buffer'; data: number[] } {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer' && 'data' in value
}

function isBase64(value: unknown): value is { base64: string } {
  return typeof value === 'object' && value !== null && 'base64' in value && typeof value.base64 === 'string'
}

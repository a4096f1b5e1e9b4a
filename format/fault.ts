/** What can be wrong with bytes that claim to be ours. Closed list: readers switch on it. */
export type FormatFault =
  | 'truncated' // fewer bytes than the layout needs
  | 'malformed' // bytes that no writer of this format leaves
  | 'unsupported' // version, suite or critical flag that this reader does not know: refuse, never guess
  | 'limit' // a length or count above its bound, refused before anything is allocated
  | 'tampered' // a tag, digest, commitment or signature does not match
  | 'mismatch' // sound by itself, but not what was asked for (other job, device, object, epoch)
  | 'wrong-code' // an unlock or seal code that does not fit

/**
 * The one error class of `format/`. `fault` is for code, `message` for people: what was wanted, what was found.
 * Never holds a key, a code or plaintext.
 */
export class FormatError extends Error {
  override readonly name = 'FormatError'
  readonly fault: FormatFault

  constructor(fault: FormatFault, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.fault = fault
  }
}

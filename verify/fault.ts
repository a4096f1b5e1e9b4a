/** Why a check could not be made. What a check finds wrong is a FormatError. */
export type VerifyFault =
  | 'usage' // an argument that makes no sense, or one that is missing
  | 'absent' // a file that was named is not there, or is no regular file

export class VerifyError extends Error {
  override readonly name = 'VerifyError'
  readonly fault: VerifyFault

  constructor(fault: VerifyFault, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.fault = fault
  }
}

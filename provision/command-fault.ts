/** Why a command could not be done, with the exit code that fits; made where rooms are joined. */
export class CommandFault extends Error {
  override readonly name = 'CommandFault'
  readonly exitCode: number

  constructor(message: string, exitCode: number) {
    super(message)
    this.exitCode = exitCode
  }
}

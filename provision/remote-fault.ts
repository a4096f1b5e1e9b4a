/** What a running provider answered to a command, with the exit code that it chose. */
export class RemoteFault extends Error {
  override readonly name = 'RemoteFault'
  readonly exitCode: number

  constructor(message: string, exitCode: number) {
    super(message)
    this.exitCode = exitCode
  }
}

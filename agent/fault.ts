/** What the device's commands can meet. Exit codes are chosen in `exit.ts` alone. */
export type AgentFault =
  | 'usage' // what was asked for makes no sense
  | 'configuration' // a setting is missing or wrong
  | 'absent' // no token, no drive, no running agent
  | 'locked' // unlock first; or the code is wrong; or too many tries
  | 'busy' // another process holds state or drive
  | 'integrity' // bytes are not what was signed
  | 'refused' // the device's state does not allow it
  | 'failed' // part of the work could not be done

/** The one error class of `agent/`. Never holds a code, PIN or key. */
export class AgentError extends Error {
  override readonly name = 'AgentError'
  readonly fault: AgentFault

  constructor(fault: AgentFault, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.fault = fault
  }
}

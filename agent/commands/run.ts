import { type CodeSource, readCode } from '../code.ts'
import { askAgent, RemoteFault } from '../control.ts'
import type { DeviceConfig } from '../device.ts'
import { exitCode, messageOf } from '../exit.ts'
import type { Terminal } from '../terminal.ts'

export type Session = { config: DeviceConfig; code: CodeSource; terminal: Terminal }

/**
 * Does one command on the device: by the running agent when there is one, else by opening the device here, unlocking it first where the
 * command needs it. @returns the command's answer
 */
export async function onDevice(
  session: Session,
  command: string,
  args: Record<string, unknown>,
  needs: 'nothing' | 'unlocked',
  progress: (value: unknown) => void = () => undefined,
): Promise<unknown> {
  const asked = await askAgent(session.config.stateDirectory, { command, args }, progress)
  if (asked !== null) return asked.answer
  // nobody holds the device: this process does, for one command
  const { Device } = await import('../device.ts')
  const { deviceCommander } = await import('../commander.ts')
  const device = await Device.open(session.config)
  const gone = new AbortController()
  const stop = (): void => gone.abort(new Error('interrupted'))
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  try {
    const commander = deviceCommander(device, () => null)
    if (needs === 'unlocked') await device.unlock(await readCode(session.code))
    return await commander({ command, args }, progress, gone.signal)
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
    await device.close()
  }
}

/** Ends a command: the message on stderr, the exit code from one table. */
export function fail(terminal: Terminal, error: unknown): number {
  terminal.settle()
  terminal.say(`sealift: ${messageOf(error)}`)
  return error instanceof RemoteFault ? error.exit : exitCode(error)
}

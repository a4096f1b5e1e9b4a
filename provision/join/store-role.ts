import { join } from 'node:path'
import { listen } from '../../store/s3/listen.ts'
import { connectAdministration } from '../admin-client.ts'
import { openHosted } from '../hosted/serve.ts'
import { openStation } from '../intake/intake.ts'
import { openLogin } from '../login-client.ts'
import { openRelease } from '../release-client.ts'
import type { Role } from '../serve.ts'
import { readInstallation } from './installation.ts'
import { intakeSocketPath, serveIntake } from './intake-socket.ts'
import { takeDrivesIn } from './take-in.ts'
import { serveUsage, usageSocketPath } from './usage-socket.ts'

export type StoreRoleOptions = {
  state: string
  host: string
  /** null: the store is open but not listened to, as a command of its own needs it */
  port: number | null
  /** a line of the activity log a request; null: none */
  log: { path: string; keys: boolean } | null
  onError: (message: string) => void
}

const REGION = 'us-east-1'
const GRACE_SECONDS = 5

/** The public store, and the intake station that fills it, in this process; keys are asked for over the keystore's socket. */
export function storeRole(options: StoreRoleOptions): Role {
  return {
    name: 'hosted',
    async open(paths) {
      const { virtualHostSuffix, readersSeeAcl } = readInstallation(options.state)
      const release = openRelease(paths.release)
      const login = openLogin(paths.login)
      const hosted = await openHosted(
        {
          directory: join(options.state, 'hosted'),
          region: REGION,
          clock: () => new Date(),
          onError: (error, id) =>
            options.onError(`request ${id}: ${error instanceof Error ? error.message : String(error)}`),
          readersSeeAcl,
          ...(options.log !== null && { log: options.log }),
          ...(virtualHostSuffix !== null && { hostSuffix: virtualHostSuffix }),
        },
        release,
        login,
      )
      const station = await openStation(join(options.state, 'intake'))
      const administer = () => connectAdministration(paths.administration)
      const intake = await serveIntake(intakeSocketPath(options.state), (request, progress, signal) =>
        takeDrivesIn({ directory: options.state, hosted, station, release, administer }, request, progress, signal),
      )
      const usage = await serveUsage(usageSocketPath(options.state), hosted)
      // what rotates logs moves the file away and says so
      const reopen = (): void => hosted.usage.reopenLog()
      process.on('SIGHUP', reopen)
      const listener =
        options.port === null ? null : await listen({ face: hosted.face, host: options.host, port: options.port })
      return {
        address: listener?.url ?? intakeSocketPath(options.state),
        async close() {
          await listener?.close({ graceSeconds: GRACE_SECONDS })
          process.off('SIGHUP', reopen)
          await usage.close()
          await intake.close()
          await station.close()
          await hosted.close()
          release.close()
          login.close()
        },
      }
    },
  }
}

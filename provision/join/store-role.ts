import { join } from 'node:path'
import { listen } from '../../store/s3/listen.ts'
import { connectAdministration, openAdministration } from '../admin-client.ts'
import { type HostedConfig, openHosted } from '../hosted/serve.ts'
import { openStation } from '../intake/intake.ts'
import { openLogin } from '../login-client.ts'
import { openRelease } from '../release-client.ts'
import type { Role } from '../serve.ts'
import { adminSocketPath, serveAdmin } from './admin-socket.ts'
import { isAdminToken } from './admin-tokens.ts'
import { readInstallation } from './installation.ts'
import { intakeSocketPath, serveIntake } from './intake-socket.ts'
import { takeDrivesIn } from './take-in.ts'

export type StoreRoleOptions = {
  state: string
  /** the S3 face, with a line of the activity log a request where one is wanted; null: the store is open but not listened to */
  s3: { host: string; port: number; log: { path: string; keys: boolean } | null } | null
  /** what else this process answers: each socket is one process's */
  sockets: readonly ('intake' | 'admin')[]
  /** where the administration listens besides its socket */
  admin?: { host: string; port: number } | null
  onError: (message: string) => void
}

const REGION = 'us-east-1'
const GRACE_SECONDS = 5

/** The public store, the intake station that fills it, and what operators ask of both, in this process. */
export function storeRole({ state, s3, sockets, admin = null, onError }: StoreRoleOptions): Role {
  return {
    async open(keystore) {
      const { virtualHostSuffix, readersSeeAcl } = readInstallation(state)
      const closing: (() => unknown)[] = []
      const close = async (): Promise<void> => {
        for (const each of closing.splice(0).toReversed()) await each()
      }
      const opened = <T>(thing: T, end: (thing: T) => unknown): T => {
        closing.push(() => end(thing))
        return thing
      }
      try {
        const release = opened(openRelease(keystore.release), each => each.close())
        const login = opened(openLogin(keystore.login), each => each.close())
        const config: HostedConfig = {
          directory: join(state, 'hosted'),
          region: REGION,
          clock: () => new Date(),
          onError: (error, id) => onError(`request ${id}: ${error instanceof Error ? error.message : String(error)}`),
          readersSeeAcl,
          // whoever is asked for a move is the one that moves
          moves: sockets.includes('admin'),
          ...(s3 !== null && s3.log !== null && { log: s3.log }),
          ...(virtualHostSuffix !== null && { hostSuffix: virtualHostSuffix }),
        }
        const hosted = opened(await openHosted(config, release, login), each => each.close())
        const addresses: { name: string; address: string }[] = []
        if (sockets.includes('intake')) {
          const station = opened(await openStation(join(state, 'intake')), each => each.close())
          const administer = () => connectAdministration(keystore.administration)
          const desk = { directory: state, hosted, station, release, administer }
          const socket = intakeSocketPath(state)
          opened(
            await serveIntake(socket, (request, progress, signal) => takeDrivesIn(desk, request, progress, signal)),
            each => each.close(),
          )
          addresses.push({ name: 'intake', address: socket })
        }
        if (sockets.includes('admin')) {
          const administration = opened(openAdministration(keystore.administration), each => each.close())
          const desk = { administration, usage: hosted.usage, dataStores: hosted.dataStores }
          const isToken = (token: string) => isAdminToken(state, token)
          for (const place of [{ path: adminSocketPath(state) }, ...(admin === null ? [] : [{ ...admin, isToken }])]) {
            const { address } = opened(await serveAdmin(place, desk), each => each.close())
            addresses.push({ name: 'admin', address })
          }
        }
        if (s3 !== null) {
          // what rotates logs moves the file away and says so
          const reopen = (): void => hosted.usage.reopenLog()
          process.on(
            'SIGHUP',
            opened(reopen, each => process.off('SIGHUP', each)),
          )
          const { host, port } = s3
          const listener = opened(await listen({ face: hosted.face, host, port }), each =>
            each.close({ graceSeconds: GRACE_SECONDS }),
          )
          addresses.unshift({ name: 'hosted', address: listener.url })
        }
        return { addresses, close }
      } catch (error) {
        await close()
        throw error
      }
    },
  }
}

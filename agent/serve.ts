import { AccessError } from '../access/fault.ts'
import { s3Face } from '../store/s3/face.ts'
import { type Gate, localGate } from '../store/s3/gate.ts'
import { type Listener, listen } from '../store/s3/listen.ts'
import { deviceCommander } from './commander.ts'
import { serveControl } from './control.ts'
import type { Device } from './device.ts'
import { AgentError } from './fault.ts'
import { tlsIdentity } from './tls.ts'

export type ServeOptions = { host: string; port: number; onError: (error: unknown) => void }
export type Served = { url: string; port: number; fingerprint: string | null; close: () => Promise<void> }

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost'])
const GRACE_SECONDS = 5

/** S3 endpoint and control socket of a device. Plain HTTP on loopback only. */
export async function serve(device: Device, options: ServeOptions): Promise<Served> {
  const tls = LOOPBACK.has(options.host) ? null : await tlsIdentity(device.config.stateDirectory, new Date())
  const face = s3Face({
    gate: deviceGate(device),
    settings: { etags: 'cheap', region: 'us-east-1' },
    onError: error => options.onError(error),
  })
  const listener: Listener = await listen({
    face,
    host: options.host,
    port: options.port,
    ...(tls !== null && { tls }),
  })
  const control = await serveControl(
    device.config.stateDirectory,
    deviceCommander(device, () => listener.url),
  )
  return {
    url: listener.url,
    port: listener.port,
    fingerprint: tls?.fingerprint ?? null,
    async close() {
      await listener.close({ graceSeconds: GRACE_SECONDS })
      await control.close()
    },
  }
}

/** One credential, that of the open job; a locked device lets nobody in and says so. */
function deviceGate(device: Device): Gate {
  const open = localGate({
    lookup(accessKey) {
      const { credential, owner } = device.job.unlocked
      if (accessKey !== credential.accessKey) return null
      return { secretKey: credential.secretKey, principal: { id: owner.account, displayName: owner.account } }
    },
    store: () => device.job.store,
    clock: () => new Date(),
  })
  return {
    admit(request, purpose) {
      if (device.jobOrNull === null)
        throw new AccessError('denied', 'This device is locked: unlock it with `sealift unlock`.')
      return open.admit(request, purpose)
    },
  }
}

/** "host:port", "port", "[::1]:port". @throws AgentError "usage" */
export function parseListen(text: string): { host: string; port: number } {
  const found = /^(?:(\[[0-9a-fA-F:]+\]|[^:\s]*):)?(\d{1,5})$/.exec(text)
  const port = Number(found?.[2])
  if (found === null || port > 65_535) throw new AgentError('usage', `--listen ${text}: wanted HOST:PORT or :PORT`)
  const host = found[1] ?? ''
  return { host: host === '' ? '127.0.0.1' : host.replace(/^\[|\]$/g, ''), port }
}

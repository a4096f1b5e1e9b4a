import { constants, type X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type TLSSocket } from 'node:tls'
import type { Calls } from '../../../format/codec.ts'
import { encodeAnswer } from '../../../format/message-frame.ts'
import { KEYSTORE_PROTOCOLS, type KeystoreContract, type ProcessRole } from '../../../format/process-certificate.ts'
import { TokenError } from '../../../hsm/token.ts'
import { type CallServer, type FaultOf, serveConnection } from './call-server.ts'
import type { Admitted, Processes } from './processes.ts'

/** An interface of the keystore, as it is served on any socket. */
export type Served = {
  calls: Calls<object>
  contract: object
  faultOf: FaultOf
  /** what a call that is not for the caller's role fails with */
  refusal: (message: string) => Error
}

/** What a process may ask for, by its role; 'all' of an interface, or the calls that are named. */
export const MAY: Record<ProcessRole, Partial<Record<KeystoreContract, 'all' | readonly string[]>>> = {
  hosted: {
    login: 'all',
    release: [
      ...['authenticate', 'hold', 'verifyChunks', 'wrap', 'beginUpload', 'release', 'rewrap', 'bind', 'names'],
      ...['putAclObject', 'aclObjectAt', 'dropAclObject', 'openBucket', 'bindBucket', 'closeBucket'],
      ...['orderExport', 'withdrawExport', 'exportOrders'],
    ],
  },
  intake: {
    // what it puts under ACL objects it settles, too
    release: [
      ...['job', 'metadataKey', 'reseal', 'prove', 'signReceipt', 'aclObjectAt'],
      ...['exportJob', 'exportKey', 'exportObjects'],
    ],
    administration: ['showJob', 'beginIntake', 'endIntake', 'beginExport', 'endExport', 'enrolStation'],
  },
}

const CONNECTIONS_MAX = 256
const HANDSHAKE_MS = 5000
const LOOK_MS = 1000
const LEAVE_MS = 1000

/**
 * Serves the keystore to processes on other machines: TLS 1.3, a certificate of the provider's CA on both sides. Who is refused is told why
 * in one answer that belongs to no call, and so is whoever keeps the keystore's log.
 */
export async function serveTls(on: {
  host: string
  port: number
  processes: Processes
  served: Record<KeystoreContract, Served>
  clock: () => number
  onRefused: (from: string, message: string) => void
}): Promise<CallServer & { address: string }> {
  const { host, port, processes, served, clock, onRefused } = on
  const { key, certificate, authority } = await processes.identity()
  const open = new Map<TLSSocket, Admitted | null>()
  const server = createServer({
    ...{ key, cert: certificate, ca: authority, minVersion: 'TLSv1.3' },
    // who is refused is told why, so it is judged here and not in the handshake
    ...{ requestCert: true, rejectUnauthorized: false },
    // each connection is judged by what it shows itself
    secureOptions: constants.SSL_OP_NO_TICKET,
    handshakeTimeout: HANDSHAKE_MS,
    ALPNProtocols: Object.values(KEYSTORE_PROTOCOLS),
  })
  const end = (socket: TLSSocket, message: string): void => {
    onRefused(socket.remoteAddress ?? 'unknown', message)
    open.set(socket, null)
    // nothing more is heard; what has come is read away, or the answer would be lost with it
    socket.removeAllListeners('data').resume()
    const answer = { number: 0, fault: 'unavailable', message: `the keystore refuses this process: ${message}` }
    socket.end(encodeAnswer(answer))
    setTimeout(() => socket.destroy(), LEAVE_MS).unref()
  }
  server.on('secureConnection', (socket: TLSSocket) => {
    open.set(socket, null)
    socket.on('error', () => socket.destroy()).on('close', () => open.delete(socket))
    const admit = async (): Promise<void> => {
      try {
        const known = await judged(socket, processes)
        const contract = contractOf(socket)
        const may = MAY[known.role][contract]
        if (may === undefined) throw new TokenError('refused', `role ${known.role} has no business with ${contract}`)
        open.set(socket, known)
        const { calls, contract: verbs, faultOf, refusal } = served[contract]
        const not = (name: string) => refusal(`role ${known.role} may not call ${name}`)
        serveConnection(socket, calls, may === 'all' ? verbs : only(verbs, may, not), faultOf)
      } catch (error) {
        end(socket, error instanceof Error ? error.message : String(error))
      }
    }
    void admit()
  })
  server.on('tlsClientError', (error, socket) => onRefused(socket.remoteAddress ?? 'unknown', error.message))
  const put = (which: (known: Admitted) => boolean, message: string): void => {
    for (const [socket, known] of open) if (known !== null && which(known)) end(socket, message)
  }
  processes.onRevoked(serial => put(known => known.serial === serial, 'certificate: it was revoked'))
  const expiry = setInterval(() => put(known => known.expiresAt < clock(), 'certificate: it has expired'), LOOK_MS)
  expiry.unref()
  server.maxConnections = CONNECTIONS_MAX
  server.listen(port, host)
  await once(server, 'listening')
  const at = server.address()
  const bound = typeof at === 'object' && at !== null ? at.port : port
  return {
    address: `tls://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    async close() {
      clearInterval(expiry)
      for (const socket of open.keys()) socket.destroy()
      if (!server.listening) return
      server.close()
      await once(server, 'close')
    },
  }
}

/** @throws TokenError "refused" */
async function judged(socket: TLSSocket, processes: Processes): Promise<Admitted> {
  const shown: X509Certificate | undefined = socket.getPeerX509Certificate()
  if (shown === undefined) throw new TokenError('refused', 'certificate: none was shown')
  const admitted = await processes.admit(shown.raw)
  // by then the certificate is sound by our reading: what TLS says of it stands beside that
  if (!socket.authorized) throw new TokenError('refused', `certificate: ${socket.authorizationError}`)
  return admitted
}

function contractOf(socket: TLSSocket): KeystoreContract {
  for (const [contract, protocol] of Object.entries(KEYSTORE_PROTOCOLS))
    if (socket.alpnProtocol === protocol) return contract as KeystoreContract
  throw new TokenError('refused', 'it does not say what it wants to speak')
}

/** The same with all other calls refused. */
function only(contract: object, may: readonly string[], not: (name: string) => Error): object {
  const verbs = Object.entries(contract).map(([name, verb]): [string, unknown] => [
    name,
    may.includes(name)
      ? verb
      : async () => {
          throw not(name)
        },
  ])
  return Object.fromEntries(verbs)
}

import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { type CallClient, callClient } from '../format/call-client.ts'
import { type KeyRelease, RELEASE_FAULTS, ReleaseError } from '../format/release.ts'
import { RELEASE_CALLS } from '../format/release-calls.ts'

/**
 * The authority's release socket as `KeyRelease`: connected at the first call, and again at the first call after the keystore was started
 * anew. Calls under way when it dies fail with `unavailable`; none is repeated here.
 */
export function openRelease(path: string): KeyRelease & { close(): void } {
  let connecting: Promise<CallClient<KeyRelease>> | null = null
  let held: CallClient<KeyRelease> | null = null
  let closed = false
  const connect = async (): Promise<CallClient<KeyRelease>> => {
    try {
      const socket = await connectSocket(path, gone)
      held = callClient(socket, RELEASE_CALLS, faultOf, gone)
      if (closed) held.close()
      return held
    } catch (error) {
      connecting = null
      throw error
    }
  }
  // decided without waiting: calls that come together share one connection
  const client = (): Promise<CallClient<KeyRelease>> => {
    if (closed) return Promise.reject(gone())
    if (held?.ended) {
      held = null
      connecting = null
    }
    connecting ??= connect()
    return connecting
  }
  const call =
    <Given extends unknown[], Answer>(pick: (at: KeyRelease) => (...given: Given) => Promise<Answer>) =>
    async (...given: Given): Promise<Answer> =>
      pick(await client())(...given)
  return {
    authenticate: call(at => at.authenticate),
    verifyChunks: call(at => at.verifyChunks),
    wrap: call(at => at.wrap),
    beginUpload: call(at => at.beginUpload),
    release: call(at => at.release),
    rewrap: call(at => at.rewrap),
    bind: call(at => at.bind),
    putAclObject: call(at => at.putAclObject),
    aclObjectAt: call(at => at.aclObjectAt),
    dropAclObject: call(at => at.dropAclObject),
    openBucket: call(at => at.openBucket),
    bindBucket: call(at => at.bindBucket),
    closeBucket: call(at => at.closeBucket),
    names: call(at => at.names),
    job: call(at => at.job),
    metadataKey: call(at => at.metadataKey),
    reseal: call(at => at.reseal),
    prove: call(at => at.prove),
    signReceipt: call(at => at.signReceipt),
    close() {
      closed = true
      held?.close()
    },
  }
}

/** @param away - what to throw when nobody listens */
export async function connectSocket(path: string, away: (cause: unknown) => Error): Promise<Socket> {
  const socket = createConnection(path)
  try {
    await once(socket, 'connect')
    return socket
  } catch (cause) {
    socket.destroy()
    throw away(cause)
  }
}

function faultOf(fault: string, message: string): ReleaseError {
  return new ReleaseError(RELEASE_FAULTS.find(each => each === fault) ?? 'unavailable', message)
}

function gone(cause?: unknown): ReleaseError {
  return new ReleaseError('unavailable', 'the keystore is not there: try again', { cause })
}

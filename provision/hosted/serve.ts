import type { Login } from '../../format/login.ts'
import type { KeyRelease } from '../../format/release.ts'
import type { Patience } from '../../store/remote/remote-settings.ts'
import { type Face, s3Face } from '../../store/s3/face.ts'
import type { BoundCaller } from './acl/rights.ts'
import { type Registration, registrationOf } from './arrivals/registration.ts'
import { boundStore, type HostedStore } from './bound-store.ts'
import { hostedGate } from './gate.ts'
import { basicTicketsOf } from './login/basic.ts'
import { loginFace } from './login/face.ts'
import { loginSitesOf } from './login/site.ts'
import { getUnjudged, type Unjudged } from './objects/get-verb.ts'
import { openShelf } from './shelf.ts'
import { type StoreDesk, storeDesk } from './stores/desk.ts'
import { IDLE, openPorter } from './stores/porter.ts'
import { finish, upkeepOf } from './upkeep.ts'
import { sweepResumables } from './uploads/resumable-sweep.ts'
import { openUsage, type Usage } from './usage/usage.ts'

export type HostedConfig = {
  /** holds hosted.sqlite and the blobs; processes of this machine may share it */
  directory: string
  /** shown as the region; callers may sign for any */
  region: string
  /** `bucket.<suffix>` hosts name a bucket */
  hostSuffix?: string
  /** the variant of rule 5, as the authority has it */
  readersSeeAcl?: boolean
  /** a line a request; names of objects only with `keys`. Absent: none */
  log?: { path: string; keys: boolean }
  /** moves blobs between data stores and sweeps those elsewhere: one of the processes that share the directory; default true */
  moves?: boolean
  clock: () => Date
  /** with data stores elsewhere */
  patience?: Patience
  /** what is nobody's fault outside, with the id the caller was given */
  onError: (error: unknown, requestId: string) => void
}

export type Hosted = {
  face: Face
  store: (caller: BoundCaller) => HostedStore
  registration: Registration
  usage: Usage
  /** as an operator has them; not for callers */
  dataStores: StoreDesk
  close: () => Promise<void>
}

/**
 * The public store, ready to be listened with.
 * @param release - the authority's socket, or a double of it; nothing here can make or judge a signature without it
 * @param login - null: browsers do not log in here
 * @throws StoreError "busy" - another process holds the directory
 */
export async function openHosted(
  config: HostedConfig,
  release: KeyRelease,
  login: Login | null = null,
): Promise<Hosted> {
  const {
    directory,
    clock,
    region,
    hostSuffix,
    readersSeeAcl = false,
    log = null,
    moves = true,
    patience,
    onError,
  } = config
  const ground = { directory, clock, ...(patience && { patience }) }
  const shelf = await openShelf({ ...ground, decision: { readersSeeAcl } })
  try {
    await sweepResumables(shelf)
    await finish(shelf, release)
  } catch (error) {
    await shelf.close()
    throw error
  }
  const upkeep = upkeepOf(shelf, release, error => onError(error, 'of the upkeep'))
  const usage = await openUsage(shelf.database, shelf.ledger, { log, onError: error => onError(error, 'usage') })
  const porter = moves ? openPorter(shelf, error => onError(error, 'of the data stores')) : IDLE
  const store = (caller: BoundCaller) => boundStore(shelf, release, caller)
  const formStore = (form: Uint8Array) => boundStore(shelf, release, null, form)
  // all but its one verb is as for nobody: there from the beginning, and not made anew for each read
  const nobody = store(null)
  const reading = (unjudged: Unjudged): HostedStore =>
    Object.assign(Object.create(nobody), { get: getUnjudged(shelf, release, unjudged) })
  const settings = { etags: 'md5' as const, region, ...(hostSuffix !== undefined && { hostSuffix }) }
  const basic = login === null ? null : basicTicketsOf(login, clock)
  const gate = hostedGate({ release, store, formStore, reading, basic })
  const face = s3Face({ gate, settings, watch: usage.watch, onError })
  const withLogin = (at: Login): Face =>
    loginFace({ face, login: at, sites: loginSitesOf(at, clock), onError: error => onError(error, 'of a page') })
  return {
    face: login === null ? face : withLogin(login),
    store,
    registration: registrationOf(shelf, porter.wake),
    usage,
    dataStores: storeDesk(shelf, ground, porter.wake),
    async close() {
      // no request is under way any more: what waits for a store elsewhere waits no longer
      for (const elsewhere of shelf.blobs.remote.values()) elsewhere.close()
      try {
        await upkeep.close()
        await usage.close()
        await porter.close()
      } finally {
        await shelf.close()
      }
    },
  }
}

import type { Kysely } from 'kysely'
import { type Acl, R, WA } from '../../access/acl/acl.ts'
import { type BoundAcl, encodeBoundAcl, parseBoundAcl } from '../../access/acl/bound.ts'
import { type DecisionSettings, rightsOf, type Who } from '../../access/acl/decide.ts'
import { AccessError } from '../../access/fault.ts'
import { fulfils, isWish, NO_WISH, type Wish } from '../../access/precondition.ts'
import type { Account } from '../../format/administration.ts'
import { type ObjectContext, objectContextHash } from '../../format/context.ts'
import {
  COMPOSITE,
  type Envelope,
  EPOCH_KEK,
  KEYSTORE_KEK,
  OBJECT,
  PART,
  parseEnvelope,
} from '../../format/envelope.ts'
import type { EpochKeys } from '../../format/epoch-key.ts'
import {
  type AclInForce,
  type Binding,
  type BoundEncryption,
  encodeBinding,
  parseBinding,
  type StoredObject,
} from '../../format/release.ts'
import type { KeystoreSchema } from '../database/keystore-schema.ts'
import { seeker } from '../database/rows.ts'
import type { AclObjects } from './acl/acl-objects.ts'
import type { Buckets } from './acl/buckets.ts'
import type { Jobs } from './jobs/jobs.ts'
import { mayUse } from './keys/asked-key.ts'
import { type Epochs, NO_JOB } from './keys/epochs.ts'
import type { KnownKey, MasterKeys } from './keys/master-keys.ts'
import { isListed, openObjectKey } from './keys/opening.ts'
import { Lru } from './lru.ts'
import type { Accounts } from './people/accounts.ts'
import type { Users } from './people/users.ts'
import { samePlace } from './proofs/coverage.ts'
import { type Spending, spend } from './proofs/spent.ts'
import { denied } from './refusal.ts'

/** An object whose binding was looked up and whose key-encrypting key is at hand; nothing of it is opened yet. */
export type Bound = {
  envelope: Envelope
  context: ObjectContext
  /** whose epoch it is under */
  account: Account
  master: KnownKey
  /** user; null: nobody known */
  owner: string | null
  /** of the bucket that it lies in, when that is known here */
  bucketOwner: string | null
  /** null: what it refers to is gone (rule 39) */
  acl: Acl | null
  stored: StoredObject
  keys: EpochKeys
}

/** How the authority sees objects: by what it knows itself, never by what the asking process says. */
export type Objects = {
  /** @throws ReleaseError "denied" - no such epoch, or what is said of the object is not what is on record */
  bind(stored: StoredObject): Promise<Bound>
  /** The key, once the caller may have it. */
  open(bound: Bound): Buffer
  /** Parts that the composite lists, in the order asked; each bound as the composite is. */
  parts(composite: Bound, asked: StoredObject[]): Promise<Bound[]>
  /**
   * By a signed request, which counts once.
   * @param wish - what the metageneration must be
   * @returns what is in force now, whether this or something later set it
   */
  setAcl(context: ObjectContext, acl: BoundAcl, by: Spending | null, wish: Wish): Promise<AclInForce>
  /** Of a new object: sets the ACL only where a row voids what the envelope says. @returns the revision that is in force */
  renewAcl(context: ObjectContext, acl: BoundAcl, by: Spending | null): Promise<number>
}

const BINDINGS_CACHED_MAX = 50_000
const rowByPlace = seeker<Pick<KeystoreSchema['bindings'], 'place' | 'acl'>>('bindings', ['acl'], ['place'])

/** R by the ACL of this moment, and the right to the key, where it is a named one. */
export function mayRead(bound: Bound, who: Who): boolean {
  return (rightsOf({ kind: 'object', ...bound }, who) & R) !== 0 && mayUse(bound.master, who)
}

export function mayChangeAcl(bound: Bound, who: Who, decision: DecisionSettings): boolean {
  return (rightsOf({ kind: 'object', ...bound }, who, decision) & WA) !== 0
}

export function objectsOf(
  database: Kysely<KeystoreSchema>,
  on: {
    epochs: Epochs
    masters: Pick<MasterKeys, 'usable'>
    accounts: Accounts
    users: Pick<Users, 'byId'>
    buckets: Pick<Buckets, 'find'>
    jobs: Pick<Jobs, 'known'>
    aclObjects: Pick<AclObjects, 'entries'>
    clock: () => number
  },
): Objects {
  const { epochs, masters, accounts, users, buckets, jobs, aclObjects, clock } = on
  // the ACL of a place, null where there is no row: this process alone writes them
  const rows = new Lru<string, string | null>(BINDINGS_CACHED_MAX)
  const rowOf = async (context: ObjectContext): Promise<string | null> => {
    const place = placeOf(context)
    const name = place.toString('base64')
    const cached = rows.get(name)
    if (cached !== undefined) return cached
    const { forgotten } = rows
    const row = await rowByPlace(database, place)
    const acl = row?.acl ?? null
    rows.setUnless(forgotten, name, acl)
    return acl
  }

  const bind: Objects['bind'] = async stored => {
    const envelope = parseEnvelope(stored.envelope)
    const epoch = await epochs.find(envelope.kekId)
    if (epoch === null) throw denied('its epoch was never taken over')
    if (stored.account !== epoch.account) throw denied('said to be of another account than its epoch')
    const byDrive = epoch.job !== null
    if (
      stored.job !== epoch.job ||
      envelope.job !== (epoch.job ?? NO_JOB) ||
      envelope.kekKind !== (byDrive ? EPOCH_KEK : KEYSTORE_KEK)
    )
      throw denied('said to be of another job than its epoch')
    const account = await accounts.byId(epoch.account)
    if (account === null || account.disabled) throw denied('its account is switched off')
    const master = await masters.usable(epoch.master)
    if ((envelope.kind === PART) !== (stored.place.part !== undefined))
      throw denied('a part, and only a part, has a number')
    const context: ObjectContext = {
      account: account.id,
      job: epoch.job,
      bucket: stored.place.bucket,
      key: stored.place.key,
      objectId: envelope.objectId,
      binding: stored.binding,
      ...(stored.place.part && { part: stored.place.part }),
    }
    const { owner, acl } = await live(context, stored, account, master.id)
    const bucketOwner = (await buckets.find(context.bucket))?.owner ?? null
    const keys = await epochs.keys(epoch)
    return { envelope, context, account, master, owner, bucketOwner, acl, stored, keys }
  }
  const live = async (
    context: ObjectContext,
    stored: StoredObject,
    account: Account,
    master: string,
  ): Promise<{ owner: string | null; acl: Acl | null }> => {
    let first: Pick<Binding, 'owner' | 'acl'>
    if (context.job !== null) {
      const { kind, order } = await jobs.known(context.job)
      if (kind !== 'import') throw denied('nothing comes by an export')
      if (!order.buckets.includes(context.bucket)) throw denied('its bucket is not in the job order')
      if (stored.binding.length > 0) throw denied('what came by drive carries no binding')
      first = { owner: account.id, acl: order.acl }
    } else {
      const said = parseBinding(stored.binding)
      if ((said.encryption?.key ?? account.id) !== master) throw denied('its binding names another key')
      first = said
      if (first.owner !== '' && (await users.byId(first.owner))?.account !== account.id)
        throw denied('its binding names an owner elsewhere')
    }
    const row = await rowOf(context)
    const bound = readAcl(row ?? first.acl)
    const acl = bound.kind === 'own' ? bound.acl : await aclObjects.entries(bound.id, bound.generation)
    return { owner: first.owner === '' ? null : first.owner, acl }
  }
  const open: Objects['open'] = ({ envelope, stored, context, keys }) =>
    openObjectKey(keys.wrapKey, envelope, stored.coreHeader, context)
  /** @param of - `new-object`: a row only where there is one, and counted from there; else what the metageneration must be */
  const change = async (
    context: ObjectContext,
    acl: BoundAcl,
    by: Spending | null,
    of: 'new-object' | Wish,
  ): Promise<AclInForce> => {
    const place = placeOf(context)
    const text = encodeBoundAcl(acl)
    const done = await database.transaction().execute(async change => {
      // used up even where it does not hold: it was answered so
      const fresh = await spend(change, by, place, clock())
      const there = await change.selectFrom('bindings').selectAll().where('place', '=', place).executeTakeFirst()
      const [wish, isNew] = of === 'new-object' ? [NO_WISH, true] : [of, false]
      const before = inForce(there)
      if (!fresh) return { ...before, held: !isWish(wish) }
      if (!fulfils(wish, before.metageneration)) return { ...before, held: false }
      if (isNew && there === undefined) return before
      const revision = before.revision + 1
      const row = { place, acl: text, revision, base: isNew ? revision : (there?.base ?? 0) }
      await change
        .insertInto('bindings')
        .values(row)
        .onConflict(conflict => conflict.column('place').doUpdateSet(row))
        .execute()
      return inForce(row)
    }) // commit point: from here on the new ACL is in force
    rows.delete(place.toString('base64'))
    return done
  }
  return {
    bind,
    open,
    setAcl: change,
    async parts(composite, asked) {
      const listed = new Map(composite.envelope.parts.map(part => [part.objectId, part]))
      const out: Bound[] = []
      for (const stored of asked) {
        const part = await bind(stored)
        // a composite may list anything: only parts of its own account, key, job and name are its parts
        const home = part.account.id === composite.account.id && part.master.id === composite.master.id
        const own = home && part.context.job === composite.context.job
        if (part.envelope.kind !== PART || !own || !samePlace(part.context, composite.context))
          throw denied('not a part of this object')
        if (!isListed(part.envelope, listed.get(part.envelope.objectId))) throw denied('a part that is not listed')
        out.push(part)
      }
      return out
    },
    async renewAcl(context, acl, by) {
      return (await change(context, acl, by, 'new-object')).revision
    },
  }
}

/** Whether this can be read by itself. */
export function isWhole(envelope: Envelope): boolean {
  return envelope.kind === OBJECT || envelope.kind === COMPOSITE
}

function inForce(row: KeystoreSchema['bindings'] | undefined): AclInForce {
  if (row === undefined) return { acl: null, revision: 0, metageneration: 1, held: true }
  return { acl: row.acl, revision: row.revision, metageneration: row.revision - row.base + 1, held: true }
}

/** What a binding row is for: account, job, name and object, without the binding that it replaces. */
function placeOf({ binding: _, ...place }: ObjectContext): Buffer {
  return objectContextHash(place)
}

export function bindingOf(
  owner: string | null,
  kind: Envelope['kind'],
  acl: BoundAcl,
  encryption: BoundEncryption | null,
): Buffer {
  return encodeBinding(owner, kind === PART ? '' : encodeBoundAcl(acl), encryption)
}

function readAcl(text: string): BoundAcl {
  try {
    return parseBoundAcl(text)
  } catch (cause) {
    if (cause instanceof AccessError) throw denied('its binding holds an ACL that cannot be read')
    throw cause
  }
}

import type { Kysely, Transaction } from 'kysely'
import type { Acl } from '../../../access/acl/acl.ts'
import { encodeAcl, parseAcl } from '../../../access/acl/text.ts'
import { NO_ID, type ObjectId } from '../../../format/bytes.ts'
import { ReleaseError } from '../../../format/release.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import { seeker } from '../../database/rows.ts'
import { Lru } from '../lru.ts'
import { newPrincipalId } from '../people/names.ts'
import { type Spending, spend } from '../proofs/spent.ts'

/** An object that is the ACL of others. Its id stays when it is overwritten, and is nobody's any more once it is gone (rules 32, 34, 39). */
export type AclObject = {
  id: string
  objectId: ObjectId
  generation: number
  /** user */
  owner: string
  /** others than its owner may refer to it (rule 41) */
  consent: boolean
}
export type AclPlace = { bucket: string; key: string }

/** This process alone writes them: what is cached is forgotten in the very call that changes it. */
export type AclObjects = {
  /** What a generation says; null for `generation`: the live one. null: it is gone, or never was. */
  entries(id: string, generation: number | null): Promise<Acl | null>
  at(place: AclPlace): Promise<AclObject | null>
  /** `bucket/object`; null: it is gone, or never was */
  nameOf(id: string): Promise<string | null>
  /** A new generation, in force from here on. By a signed request, which counts once. @throws ReleaseError "replaced" */
  put(
    place: AclPlace,
    made: Omit<AclObject, 'id' | 'generation'> & { acl: Acl; replaces: ObjectId | null },
    by: Spending | null,
  ): Promise<AclObject>
  /** Nothing is given by it any more. Doing it again changes nothing. */
  drop(place: AclPlace, objectId: string): Promise<void>
}

const CACHED_MAX = 10_000
type GenerationRow = KeystoreSchema['acl_generations']
const generationRow = seeker<GenerationRow>('acl_generations', ['acl'], ['id', 'generation'])
const objectRow = seeker<KeystoreSchema['acl_objects']>('acl_objects', ['place', 'generation'], ['id'])

export function aclObjectsOf(database: Kysely<KeystoreSchema>, clock: () => number): AclObjects {
  // by id: what the live generation says, null when it is gone
  const live = new Lru<string, Acl | null>(CACHED_MAX)
  const pinned = new Lru<string, Acl>(CACHED_MAX)
  const generationOf = async (id: string, generation: number): Promise<Acl | null> => {
    const name = `${id}#${generation}`
    const cached = pinned.get(name)
    if (cached !== undefined) return cached
    const row = await generationRow(database, id, generation)
    if (row === undefined) return null
    const acl = parseAcl(row.acl)
    pinned.set(name, acl)
    return acl
  }
  const rowAt = (on: Kysely<KeystoreSchema> | Transaction<KeystoreSchema>, place: AclPlace) =>
    on.selectFrom('acl_objects').selectAll().where('place', '=', placeOf(place)).executeTakeFirst()
  return {
    async entries(id, generation) {
      if (generation !== null) return generationOf(id, generation)
      const cached = live.get(id)
      if (cached !== undefined) return cached
      const { forgotten } = live
      const row = await objectRow(database, id)
      const acl = row === undefined || row.place === null ? null : await generationOf(id, row.generation)
      live.setUnless(forgotten, id, acl)
      return acl
    },
    async at(place) {
      const row = await rowAt(database, place)
      return row === undefined ? null : aclObject(row)
    },
    async nameOf(id) {
      return (await objectRow(database, id))?.place?.toString('utf8') ?? null
    },
    async put(place, { objectId, owner, consent, acl, replaces }, by) {
      const done = await database.transaction().execute(async change => {
        const there = await rowAt(change, place)
        if (replaces !== null && replaces !== (there?.object_id ?? NO_ID))
          throw new ReleaseError('replaced', 'another ACL object lies there than was to be replaced')
        const fresh = await spend(change, by, Buffer.from(`acl object ${objectId}`), clock())
        if (!fresh && there !== undefined) return there
        const id = there?.id ?? newPrincipalId()
        const generation = (there?.generation ?? 0) + 1
        const row = { id, place: placeOf(place), object_id: objectId, generation, owner, consent: consent ? 1 : 0 }
        await change
          .insertInto('acl_objects')
          .values(row)
          .onConflict(conflict => conflict.column('id').doUpdateSet(row))
          .execute()
        await change
          .insertInto('acl_generations')
          .values({ id, generation, acl: encodeAcl(acl) })
          .execute()
        return row
      }) // commit point: from here on it is in force for all that refer to it
      live.delete(done.id)
      return aclObject(done)
    },
    async drop(place, objectId) {
      const gone = await database
        .updateTable('acl_objects')
        .set({ place: null })
        .where('place', '=', placeOf(place))
        .where('object_id', '=', objectId)
        .returning('id')
        .executeTakeFirst() // commit point: it gives nobody anything
      if (gone !== undefined) live.delete(gone.id)
    },
  }
}

function aclObject(row: KeystoreSchema['acl_objects']): AclObject {
  const { id, object_id, generation, owner, consent } = row
  // written by this room from an id
  return { id, objectId: object_id as ObjectId, generation, owner, consent: consent !== 0 }
}

function placeOf({ bucket, key }: AclPlace): Buffer {
  return Buffer.from(`${bucket}/${key}`, 'utf8')
}

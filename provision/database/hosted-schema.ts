import { type Kysely, sql, type Transaction } from 'kysely'
import type { DatabaseKind } from './dialect.ts'
import { addAclObjects, type HostedAclTables } from './hosted-acls.ts'
import { addGenerations } from './hosted-generations.ts'
import { addMasterKey } from './hosted-master-key.ts'
import { addProcesses } from './hosted-processes.ts'
import { addResumables, type ResumableRow } from './hosted-resumables.ts'
import { addDataStores, type HostedStoreTables } from './hosted-stores.ts'
import { addUsage, type HostedUsageTables } from './hosted-usage.ts'
import type { Migrations } from './open.ts'

/**
 * The public store's own tables. Names of objects are their UTF-8 bytes, so that the database's order is the listing's. Ids are hex text,
 * times ms since 1970, records JSON. Nothing in here opens an object: envelopes do, and only in the authority.
 */
export type HostedSchema = {
  /** ACLs in their text form, as the authority said them last; the higher revision counts */
  buckets: {
    name: string
    /** user */
    owner: string
    /** the owner's */
    account: string
    acl: string
    /** the ACL object that it refers to */
    acl_ref: string | null
    default_acl: string | null
    acl_revision: number
    created_at: number
  }
  objects: ObjectRow
  /** where a sealed body lies; shared by copies. `blob` null: a composite, whose bytes are its parts' */
  bodies: BodyRow
  /** parts of uploads under way (set: the upload's id) and of composites, which keep their set; a copy has a set of its own */
  parts: PartRow
  /**
   * `dead`: nothing refers to it, the bytes may still be there. `origin` names an adopted pack while its intake runs, and `move:` with the blob
   * that this one is to stand for while bodies are moved to it.
   */
  blobs: { id: string; size: number; refs: number; state: 'live' | 'dead'; origin: string | null }
  uploads: {
    id: string
    bucket: string
    key: Buffer
    started_at: number
    attributes: string
    checksum: string | null
    account: string
    /** the user who began it */
    owner: string
    /** proof of the request that made it: the ACL comes from there */
    creation: Buffer
  }
  resumables: ResumableRow
  acls: HostedAclTables['acls']
  acl_generations: HostedAclTables['acl_generations']
  staged_acls: HostedAclTables['staged_acls']
  usage: HostedUsageTables['usage']
  stored: HostedUsageTables['stored']
  quotas: HostedUsageTables['quotas']
  inline_blobs: HostedStoreTables['inline_blobs']
  placements: HostedStoreTables['placements']
  data_stores: HostedStoreTables['data_stores']
  moves: HostedStoreTables['moves']
  /** `generation`: the last that was given; `quotas`: goes up with each change of them */
  sequences: { name: 'generation' | 'quotas'; last: number }
  /** how far the batches of an intake have come: each is taken once */
  intakes: { origin: string; position: number }
}

export type Database = Kysely<HostedSchema>
export type Change = Transaction<HostedSchema>

export type ObjectRow = {
  bucket: string
  key: Buffer
  object_id: string
  size: number
  etag: string
  modified_at: number
  attributes: string
  checksum: string | null
  /** number of parts of a composite; null for a single body */
  parts: number | null
  /** what the envelope is bound to */
  account: string
  job: string | null
  upload: string | null
  /** a composite's parts */
  part_set: string | null
  envelope: Buffer
  binding: Buffer
  /** user; empty: nobody known */
  owner: string
  /** in its text form, as the authority said it last; the higher revision counts */
  acl: string
  /** the ACL object that it refers to */
  acl_ref: string | null
  acl_revision: number
  /** id of the named key that it is under; null: the account's own */
  master_key: string | null
  generation: number
  metageneration: number
  /** of what came by drive: job "/" device, and the number of its commit there */
  origin: string | null
  sequence: number | null
}

export type BodyRow = {
  object_id: string
  blob: string | null
  offset: number
  length: number
  core_header: Buffer
  refs: number
}

export type PartRow = {
  part_set: string
  object_id: string
  upload: string
  number: number
  bucket: string
  key: Buffer
  size: number
  etag: string
  checksum: string | null
  modified_at: number
  account: string
  job: string | null
  envelope: Buffer
  binding: Buffer
}

export const hostedMigrations: Migrations = kind => ({
  '0001-first': { up: (database: Kysely<unknown>) => first(database, kind) },
  '0002-acls': { up: (database: Kysely<unknown>) => addAcls(database, kind) },
  '0003-acl-objects': { up: (database: Kysely<unknown>) => addAclObjects(database, kind) },
  '0004-generations': { up: (database: Kysely<unknown>) => addGenerations(database, kind) },
  '0005-usage': { up: (database: Kysely<unknown>) => addUsage(database, kind) },
  '0006-resumables': { up: (database: Kysely<unknown>) => addResumables(database, kind) },
  '0007-processes': { up: addProcesses },
  '0008-master-key': { up: addMasterKey },
  '0009-data-stores': { up: (database: Kysely<unknown>) => addDataStores(database, kind) },
})

async function first(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const { bytes, wholeNumber, tableEnd } = kind
  const table = (name: string) => database.schema.createTable(name).modifyEnd(tableEnd)
  await table('buckets')
    .addColumn('name', 'text', column => column.primaryKey().notNull())
    .addColumn('owner', 'text', column => column.notNull())
    .addColumn('acl', 'text', column => column.notNull())
    .addColumn('created_at', wholeNumber, column => column.notNull())
    .execute()
  await table('blobs')
    .addColumn('id', 'text', column => column.primaryKey().notNull())
    .addColumn('size', wholeNumber, column => column.notNull())
    .addColumn('refs', wholeNumber, column => column.notNull())
    .addColumn('state', 'text', column => column.notNull())
    .addColumn('origin', 'text', column => column.unique())
    .execute()
  await table('bodies')
    .addColumn('object_id', 'text', column => column.primaryKey().notNull())
    .addColumn('blob', 'text', column => column.references('blobs.id'))
    .addColumn('offset', wholeNumber, column => column.notNull())
    .addColumn('length', wholeNumber, column => column.notNull())
    .addColumn('core_header', bytes, column => column.notNull())
    .addColumn('refs', wholeNumber, column => column.notNull())
    .execute()
  await table('objects')
    .addColumn('bucket', 'text', column => column.notNull().references('buckets.name'))
    .addColumn('key', bytes, column => column.notNull())
    .addColumn('object_id', 'text', column => column.notNull().references('bodies.object_id'))
    .addColumn('size', wholeNumber, column => column.notNull())
    .addColumn('etag', 'text', column => column.notNull())
    .addColumn('modified_at', wholeNumber, column => column.notNull())
    .addColumn('attributes', 'text', column => column.notNull())
    .addColumn('checksum', 'text')
    .addColumn('parts', wholeNumber)
    .addColumn('account', 'text', column => column.notNull())
    .addColumn('job', 'text')
    .addColumn('upload', 'text')
    .addColumn('part_set', 'text')
    .addColumn('envelope', bytes, column => column.notNull())
    .addColumn('binding', bytes, column => column.notNull())
    .addColumn('owner', 'text', column => column.notNull())
    .addColumn('acl', 'text', column => column.notNull())
    .addColumn('origin', 'text')
    .addColumn('sequence', wholeNumber)
    .addPrimaryKeyConstraint('objects_key', ['bucket', 'key'])
    .execute()
  await table('parts')
    .addColumn('part_set', 'text', column => column.notNull())
    .addColumn('object_id', 'text', column => column.notNull().references('bodies.object_id'))
    .addColumn('upload', 'text', column => column.notNull())
    .addColumn('number', wholeNumber, column => column.notNull())
    .addColumn('bucket', 'text', column => column.notNull())
    .addColumn('key', bytes, column => column.notNull())
    .addColumn('size', wholeNumber, column => column.notNull())
    .addColumn('etag', 'text', column => column.notNull())
    .addColumn('checksum', 'text')
    .addColumn('modified_at', wholeNumber, column => column.notNull())
    .addColumn('account', 'text', column => column.notNull())
    .addColumn('job', 'text')
    .addColumn('envelope', bytes, column => column.notNull())
    .addColumn('binding', bytes, column => column.notNull())
    .addPrimaryKeyConstraint('parts_key', ['part_set', 'object_id'])
    .execute()
  await table('uploads')
    .addColumn('id', 'text', column => column.primaryKey().notNull())
    .addColumn('bucket', 'text', column => column.notNull().references('buckets.name'))
    .addColumn('key', bytes, column => column.notNull())
    .addColumn('started_at', wholeNumber, column => column.notNull())
    .addColumn('attributes', 'text', column => column.notNull())
    .addColumn('checksum', 'text')
    .addColumn('account', 'text', column => column.notNull())
    .addColumn('owner', 'text', column => column.notNull())
    .addColumn('creation', bytes, column => column.notNull())
    .execute()
  await table('intakes')
    .addColumn('origin', 'text', column => column.primaryKey().notNull())
    .addColumn('position', wholeNumber, column => column.notNull())
    .execute()
  for (const [name, on, columns] of [
    ['parts_by_number', 'parts', ['part_set', 'number']],
    ['parts_of_body', 'parts', ['object_id']],
    ['uploads_by_name', 'uploads', ['bucket', 'key', 'id']],
    ['buckets_of_owner', 'buckets', ['owner']],
    // a foreign key without an index is a walk over the table for each delete of what it points at
    ['objects_of_body', 'objects', ['object_id']],
    ['bodies_of_blob', 'bodies', ['blob']],
  ] as const)
    await database.schema
      .createIndex(name)
      .on(on)
      .columns([...columns])
      .execute()
}

/** What was `private` or `public-read` stays it: both are texts of ACLs. */
async function addAcls(database: Kysely<unknown>, { wholeNumber }: DatabaseKind): Promise<void> {
  for (const table of ['buckets', 'objects'])
    await database.schema
      .alterTable(table)
      .addColumn('acl_revision', wholeNumber, column => column.notNull().defaultTo(0))
      .execute()
  await database.schema.alterTable('buckets').addColumn('default_acl', 'text').execute()
  await database.schema
    .alterTable('buckets')
    .addColumn('account', 'text', column => column.notNull().defaultTo(''))
    .execute()
  await sql`update buckets set account = owner`.execute(database)
}

import type { Resource } from '../../../access/acl/decide.ts'
import { openBody, openHeldBody } from '../../../format/body-opening.ts'
import { asBuffer } from '../../../format/bytes.ts'
import { parseEnvelope } from '../../../format/envelope.ts'
import { FormatError } from '../../../format/fault.ts'
import type { KeyRelease, Principal, StoredObject } from '../../../format/release.ts'
import type { BlobReader } from '../../../store/blobs.ts'
import { type ByteRange, HeldBody, StoreError } from '../../../store/object-store.ts'
import { OwnBody } from '../../../store/own-body.ts'
import { slicesOf } from '../../../store/pack/pack-reader.ts'
import { SMALL_READ_BYTES } from '../../../store/range-file.ts'
import type { BodyRow, Change, Database, ObjectRow, PartRow } from '../../database/hosted-schema.ts'
import type { Look } from '../../database/looking.ts'
import { joinedLook, seeker } from '../../database/rows.ts'
import { denied, findBucketNow, type Home, objectResourceNow } from '../acl/rights.ts'
import { asked } from '../release-fault.ts'
import { BODY_COLUMNS, OBJECT_COLUMNS, storedObject, storedPart } from '../rows.ts'
import type { Shelf } from '../shelf.ts'

const bodyById = seeker<BodyRow>('bodies', BODY_COLUMNS, ['object_id'])
/** What a read needs to know of an object: not where it came from, and its name is known. */
const UNSEEN = ['bucket', 'key', 'acl_revision', 'origin', 'sequence'] as const
type Seen = Omit<ObjectRow, (typeof UNSEEN)[number]>
type SeenObject = Seen & { bucket: string; key: Buffer }
const objectByName = joinedLook<Seen, Omit<BodyPlace, 'object_id'>>(
  'objects',
  OBJECT_COLUMNS.filter((each): each is keyof Seen => !UNSEEN.some(unseen => unseen === each)),
  ['bucket', 'key'],
  { table: 'bodies', columns: ['blob', 'offset', 'length', 'core_header'], on: 'object_id' },
  ['envelope', 'binding', 'core_header'],
)

const NOBODY: Home = { owner: null }

/** Where a body lies, and its core header. */
type BodyPlace = Omit<BodyRow, 'refs'>
/** Everything of an object that a read needs, its blobs pinned till `free`. */
export type Found = { resource: Resource; row: SeenObject; body: BodyPlace; free: () => void }

/** Looks an object up, all of it as it is at one moment, and pins it in the same turn: nothing of this process comes between. */
export function findPinned(shelf: Shelf, bucket: string, key: Buffer): Promise<Found | null> {
  return shelf.looking.atOnce(look => {
    const found = objectByName(look, bucket, key)
    if (found === undefined) return null
    const row = { ...found, bucket, key }
    const { blob, offset, length, core_header } = row
    if (offset === null || length === null || core_header === null) throw unrecorded(row.object_id)
    const body = { object_id: row.object_id, blob, offset, length, core_header }
    const blobs = row.part_set === null ? [body.blob ?? ''] : blobsOfParts(look, row.part_set)
    // only a list that names him needs to know who the bucket's owner is
    const home = row.acl_ref !== null || row.acl.includes('bucket-owner') ? findBucketNow(look, bucket) : NOBODY
    const resource = objectResourceNow(look, home, row)
    return { resource, row, body, free: shelf.pin(blobs) }
  })
}

export async function bodyOf(database: Database | Change, objectId: string): Promise<BodyRow> {
  const body = await bodyById(database, objectId)
  if (body === undefined) throw unrecorded(objectId)
  return body
}

function unrecorded(objectId: string): StoreError {
  return new StoreError('damaged', `the body of object ${objectId} is not recorded`)
}

function blobsOfParts(look: Look, set: string): string[] {
  const rows = look.all<{ blob: string | null }>(
    'select distinct bodies.blob from parts join bodies on bodies.object_id = parts.object_id where parts.part_set = ?',
    [set],
  )
  return rows.flatMap(row => (row.blob === null ? [] : [row.blob]))
}

type Piece = { body: BodyPlace; key: Buffer; plaintextLength: number; range: ByteRange }

/**
 * Content of an object. The authority is asked before this resolves, so a refusal comes before the first byte.
 * @param range - null: all of it
 * @param judge - hears who signed the proof, as the authority says it; throws where the data is not for them
 * @returns null - the object was replaced meanwhile, by another process: look it up again
 * @throws StoreError "forbidden" | "busy"; AccessError - the proof is none
 */
export async function openObject(
  shelf: Shelf,
  release: KeyRelease,
  proof: Uint8Array | null,
  found: Found,
  range: ByteRange | null,
  judge: (principal: Principal | null) => void,
): Promise<AsyncIterable<Uint8Array> | null> {
  const { row, body, free } = found
  const ask = async (parts: StoredObject[]): Promise<Buffer[]> => {
    const released = await asked(release.release({ proof, object: storedObject(row, body.core_header), parts }))
    try {
      judge(released.principal)
    } catch (error) {
      for (const key of released.keys) key.fill(0)
      throw error
    }
    return released.keys
  }
  try {
    if (row.part_set === null) {
      const [key] = await ask([])
      if (key === undefined) throw denied()
      const piece = { body, key, plaintextLength: row.size, range: range ?? { first: 0, last: row.size - 1 } }
      if (body.length > SMALL_READ_BYTES) return await over(shelf, [piece], free)
      const held = await heldBody(shelf, piece)
      free()
      return held
    }
    const slices = slicesOf(parseEnvelope(row.envelope).parts, range)
    const parts: { row: PartRow; body: BodyPlace }[] = []
    for (const { part } of slices) parts.push(await partOf(shelf.database, row.part_set, part.objectId))
    const keys = await ask(parts.map(part => storedPart(part.row, part.body.core_header)))
    const pieces = slices.map((slice, at): Piece => {
      const [part, key] = [parts[at], keys[at]]
      if (part === undefined || key === undefined) throw denied()
      return { body: part.body, key, plaintextLength: slice.part.plaintextLength, range: slice.range }
    })
    return await over(shelf, pieces, free)
  } catch (error) {
    free()
    throw error
  }
}

export async function partOf(database: Database, set: string, objectId: string) {
  const row = await database
    .selectFrom('parts')
    .selectAll()
    .where('part_set', '=', set)
    .where('object_id', '=', objectId)
    .executeTakeFirst()
  if (row === undefined) throw new StoreError('damaged', `part ${objectId} is not recorded`)
  return { row, body: await bodyOf(database, objectId) }
}

/** A small body by one read, opened whole. Wipes the key. @returns null - its file is gone */
async function heldBody(shelf: Shelf, { body, key, plaintextLength, range }: Piece): Promise<HeldBody | null> {
  let reader: BlobReader | null = null
  try {
    reader = await readerOf(shelf, body)
    if (reader === null) return null
    const bytes = await readFully(reader, body.offset, body.length)
    return new HeldBody(openHeldBody(bytes, key, body.core_header, plaintextLength, range))
  } catch (cause) {
    throw damaged(body, cause)
  } finally {
    key.fill(0)
    await reader?.close()
  }
}

/** @returns null - the file is gone */
async function readerOf(shelf: Shelf, body: BodyPlace): Promise<BlobReader | null> {
  return body.blob === null ? null : shelf.blobs.open(body.blob)
}

function damaged(body: BodyPlace, cause: unknown): unknown {
  if (!(cause instanceof FormatError)) return cause
  return new StoreError('damaged', `object ${body.object_id}: ${cause.message}`, { cause })
}

/** Files of one object that are opened before its first byte: from then on another process may remove them. */
const OPENED_MAX = 1000

/**
 * The pieces one after another. Left early or never begun, it still wipes the keys and lets the blobs go.
 * @returns null - a file is gone; keys are wiped and blobs let go
 */
async function over(shelf: Shelf, pieces: Piece[], free: () => void): Promise<AsyncIterable<Uint8Array> | null> {
  const readers: BlobReader[] = []
  const end = (): void => {
    for (const { key } of pieces) key.fill(0)
    for (const reader of readers) reader.close().catch(() => undefined)
    free()
  }
  try {
    for (const { body } of pieces.slice(0, OPENED_MAX)) {
      const reader = await readerOf(shelf, body)
      if (reader === null) {
        end()
        return null
      }
      readers.push(reader)
    }
  } catch (error) {
    end()
    throw error
  }
  const source = plaintext(shelf, pieces, readers)
  const iterator: AsyncIterator<Uint8Array> = {
    async next() {
      try {
        const next = await source.next()
        if (next.done) end()
        return next
      } catch (error) {
        end()
        throw error
      }
    },
    async return() {
      await source.return(undefined)
      end()
      return { done: true, value: undefined }
    },
  }
  return new OwnBody({ [Symbol.asyncIterator]: () => iterator })
}

/** @param readers - of the first pieces; each is closed when its piece is read */
async function* plaintext(shelf: Shelf, pieces: Piece[], readers: BlobReader[]): AsyncGenerator<Uint8Array> {
  for (const [at, { body, key, plaintextLength, range }] of pieces.entries()) {
    const reader = readers[at] ?? (await readerOf(shelf, body))
    if (reader === null) throw new StoreError('damaged', `blob ${body.blob} is missing`)
    try {
      const read = (offset: number, length: number) =>
        readFully(reader, body.offset + offset, Math.min(length, body.length - offset))
      yield* openBody(read, key, body.core_header, plaintextLength, range)
    } catch (cause) {
      throw damaged(body, cause)
    } finally {
      await reader.close()
    }
  }
}

/** Fewer bytes only at the end of the blob. */
async function readFully(reader: BlobReader, offset: number, length: number): Promise<Buffer> {
  const first = asBuffer(await reader.read(offset, length))
  if (first.length === length || first.length === 0) return first
  const pieces = [first]
  let done = first.length
  while (done < length) {
    const more = await reader.read(offset + done, length - done)
    if (more.length === 0) break
    pieces.push(asBuffer(more))
    done += more.length
  }
  return Buffer.concat(pieces)
}

import { commonPrefix } from '../../../store/key.ts'
import type { UploadQuery, UploadRecord } from '../../../store/object-store.ts'
import type { Database } from '../../database/hosted-schema.ts'
import { keyText, uploadRecordOf } from '../rows.ts'

const ABOVE = Buffer.of(0xff)

/** Uploads by key, then by start, folded by the delimiter; each common prefix costs one look. */
export async function listUploads(
  database: Database,
  bucket: string,
  { prefix, delimiter, afterKey, afterUpload, limit }: UploadQuery,
): Promise<{ uploads: UploadRecord[]; prefixes: string[]; more: boolean }> {
  const uploads: UploadRecord[] = []
  const prefixes: string[] = []
  let after = afterKey === undefined ? null : marker(afterKey, afterUpload, prefix, delimiter)
  for (;;) {
    const rows = await next(database, bucket, prefix, after, limit - uploads.length - prefixes.length + 1)
    if (rows.length === 0) return { uploads, prefixes, more: false }
    for (const row of rows) {
      if (uploads.length + prefixes.length === limit) return { uploads, prefixes, more: true }
      const folded = commonPrefix(keyText(row.key), prefix, delimiter)
      if (folded !== null) {
        prefixes.push(folded)
        after = { key: Buffer.concat([Buffer.from(folded, 'utf8'), ABOVE]), id: null }
        break
      }
      uploads.push(uploadRecordOf(row))
      after = { key: row.key, id: row.id }
    }
  }
}

/** `id` null: after all uploads of the key. */
type Marker = { key: Buffer; id: string | null }

function marker(key: string, upload: string | undefined, prefix: string, delimiter: string | undefined): Marker {
  const bytes = Buffer.from(key, 'utf8')
  const folds = key.startsWith(prefix) && commonPrefix(key, prefix, delimiter) === key
  return folds ? { key: Buffer.concat([bytes, ABOVE]), id: null } : { key: bytes, id: upload ?? null }
}

function next(database: Database, bucket: string, prefix: string, after: Marker | null, limit: number) {
  const start = Buffer.from(prefix, 'utf8')
  let query = database
    .selectFrom('uploads')
    .selectAll()
    .where('bucket', '=', bucket)
    .where('key', '>=', start)
    .where('key', '<', Buffer.concat([start, ABOVE]))
  if (after !== null) {
    const { key, id } = after
    query = query.where(row =>
      id === null
        ? row('key', '>', key)
        : row.or([row('key', '>', key), row.and([row('key', '=', key), row('id', '>', id)])]),
    )
  }
  return query.orderBy('key').orderBy('id').limit(limit).execute()
}

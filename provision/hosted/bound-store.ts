import type { KeyRelease } from '../../format/release.ts'
import type {
  AclStore,
  CopyStore,
  ExportStore,
  GenerationStore,
  NamedKeyStore,
  OwnerStore,
  ResumableStore,
} from '../../store/ability.ts'
import type { MultipartStore } from '../../store/object-store.ts'
import { aclVerbs } from './acl/acl-verbs.ts'
import type { BoundCaller } from './acl/rights.ts'
import { bucketVerbs } from './bucket-verbs.ts'
import { exportVerbs } from './export-verbs.ts'
import { namesOf } from './names-of.ts'
import { copyVerb } from './objects/copy-verb.ts'
import { objectVerbs } from './objects/object-verbs.ts'
import type { Shelf } from './shelf.ts'
import { resumableVerbs } from './uploads/resumable-verbs.ts'
import { uploadVerbs } from './uploads/upload-verbs.ts'

export type HostedStore = MultipartStore &
  CopyStore &
  AclStore &
  GenerationStore &
  NamedKeyStore &
  ResumableStore &
  ExportStore &
  OwnerStore

/**
 * The public store as one caller may use it. Whether the data may be had is decided here; whether its key may be had is decided by the
 * authority, each time, on the caller's own proof. Both must say yes.
 *
 * @param release - the authority, or whoever speaks to it
 * @param form - of an anonymous caller: the form that he sends
 */
export function boundStore(
  shelf: Shelf,
  release: KeyRelease,
  caller: BoundCaller,
  form: Uint8Array | null = null,
): HostedStore {
  return {
    ...bucketVerbs(shelf, release, caller),
    ...objectVerbs(shelf, release, caller, form),
    ...uploadVerbs(shelf, release, caller),
    ...resumableVerbs(shelf, release, caller),
    ...aclVerbs(shelf, release, caller),
    ...copyVerb(shelf, release, caller),
    ...exportVerbs(release, caller),
    async ownersOf(bucket) {
      const row = await shelf.database
        .selectFrom('buckets')
        .select(['owner', 'account'])
        .where('name', '=', bucket)
        .executeTakeFirst()
      return row === undefined ? [] : [row.owner, row.account]
    },
    namesOf: ids => namesOf(release, ids),
    numbersGenerations: true,
    takesNamedKeys: true,
    // one caller's view: what it looks at is closed by whoever opened it
    close: async () => undefined,
  }
}

import { hasOwners } from '../ability.ts'
import type { Call } from './call.ts'
import { S3Error } from './fault.ts'
import { eitherHeader, header } from './message.ts'

/**
 * `x-amz-expected-bucket-owner`, and of a copy's source: a caller who means somebody's bucket is not to be served with another's of the
 * same name. Where the store knows no owners all that is there is the caller's.
 *
 * @throws S3Error "AccessDenied"
 */
export async function requireExpectedOwners({ request, store, admission }: Call, bucket: string): Promise<void> {
  const wanted = header(request, 'x-amz-expected-bucket-owner')
  const source = header(request, 'x-amz-source-expected-bucket-owner')
  if (wanted === undefined && source === undefined) return
  const ownersOf = async (name: string): Promise<string[]> =>
    hasOwners(store) ? store.ownersOf(name) : [admission.principal?.id ?? '']
  const from = /^\/?([^/]+)\//.exec(eitherHeader(request, 'copy-source') ?? '')?.[1] ?? ''
  const right =
    (wanted === undefined || (await ownersOf(bucket)).includes(wanted)) &&
    (source === undefined || (await ownersOf(from)).includes(source))
  if (!right) throw new S3Error('AccessDenied', 'The bucket is not owned by whom the request expects.')
}

import { idBytes, type JobId } from './bytes.ts'
import { Fields } from './cbor.ts'
import { IMPORT_MODES } from './grant.ts'
import { ACL_TEXT_LIMIT } from './release.ts'
import { parseSigned, type Sign, signMessage, verifySigned } from './signed.ts'

/**
 * What was ordered: account, target buckets and who may read. The authority takes all of it from here and from nowhere else; intake
 * cannot ask for another account, ACL or bucket. @see FORMAT.md §12.1
 */
export type JobOrder = {
  job: JobId
  account: string
  buckets: string[]
  /** of what is taken in, in its text form; not looked into here. @see access/acl/bound.ts */
  acl: string
  mode: (typeof IMPORT_MODES)[number]
  deletes: 'ignore' | 'apply'
  versions: 'latest' | 'keep'
  orderedAt: number
}

export function signJobOrder(order: JobOrder, sign: Sign): Promise<Buffer> {
  return signMessage(
    'job-order',
    {
      v: 1,
      job: idBytes(order.job),
      account: order.account,
      buckets: order.buckets,
      acl: order.acl,
      mode: order.mode,
      deletes: order.deletes,
      versions: order.versions,
      ordered: order.orderedAt,
    },
    sign,
  )
}

/** @param signer - SPKI of the provider's grant-signing key */
export function verifyJobOrder(bytes: Uint8Array, signer: Uint8Array): JobOrder {
  const fields = verifySigned(parseSigned(bytes, 'job-order', 256 << 10), signer)
  fields.version(1)
  const order: JobOrder = {
    job: fields.id('job'),
    account: fields.text('account', 128),
    buckets: fields.list('buckets', 1000, (item, what) => new Fields({ item }, what).text('item', 255)),
    acl: fields.text('acl', ACL_TEXT_LIMIT),
    mode: fields.oneOf('mode', IMPORT_MODES),
    deletes: fields.oneOf('deletes', ['ignore', 'apply']),
    versions: fields.oneOf('versions', ['latest', 'keep']),
    orderedAt: fields.count('ordered'),
  }
  fields.end()
  return order
}

import { parseExportAsk } from '../../access/export-ask.ts'
import { type ExportOrderRecord, type ExportStore, hasExports } from '../ability.ts'
import { type BucketCall, emptyResponse, xmlResponse } from './call.ts'
import { S3Error } from './fault.ts'
import type { S3Response } from './message.ts'
import { element, type Xml } from './xml-out.ts'

/** Orders of exports: what of a bucket is to be carried away on the device of a job. */

export async function orderExport(call: BucketCall): Promise<S3Response> {
  return xmlResponse(shown(await (await ordering(call)).orderExport(call.bucket)))
}

export async function withdrawExport(call: BucketCall): Promise<S3Response> {
  await (await ordering(call)).withdrawExport(call.bucket)
  return emptyResponse(204)
}

export async function listExports({ store, bucket }: BucketCall): Promise<S3Response> {
  const orders = await exporting(store).exportOrders(bucket)
  return xmlResponse(element('ExportOrders', orders.map(shown)))
}

/** What it says is wrong is said here; that it was signed, and by whom, is the authority's to see. */
async function ordering({ request, store }: BucketCall): Promise<ExportStore> {
  const able = exporting(store)
  parseExportAsk(request.headers)
  for await (const chunk of request.body)
    if (chunk.length > 0) throw new S3Error('InvalidRequest', 'An order of an export says all in its headers.')
  return able
}

function exporting(store: BucketCall['store']): ExportStore {
  if (!hasExports(store)) throw new S3Error('NotImplemented', 'This store exports nothing.')
  return store
}

function shown({ id, job, bucket, prefix, orderedAt, withdrawn }: ExportOrderRecord): Xml {
  return element('ExportOrder', [
    element('Id', id),
    element('Job', job),
    element('Bucket', bucket),
    element('Prefix', prefix),
    element('Ordered', orderedAt.toISOString()),
    // of one that was handed over again after it was withdrawn
    element('Withdrawn', withdrawn),
  ])
}

import {
  parseRemoteCompleted,
  parseRemoteFault,
  parseRemoteListing,
  parseRemoteUploadId,
  parseRemoteUploads,
} from '../../../store/remote/documents.ts'
import { eachOf } from './parser.ts'
import { text } from './samples.ts'

/** What an S3 endpoint may say, of each kind one. */
export const remoteSamples = () =>
  text(
    '<Error><Code>SlowDown</Code><Message>m</Message></Error>',
    '<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken><Contents><Key>k</Key><LastModified>2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>',
    '<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker><Upload><Key>k</Key><UploadId>u</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload></ListMultipartUploadsResult>',
    '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>',
    '<CompleteMultipartUploadResult><ETag>&quot;e-1&quot;</ETag></CompleteMultipartUploadResult>',
  )

export function readRemote(bytes: Buffer): void {
  eachOf(
    () => parseRemoteFault(bytes),
    () => parseRemoteListing(bytes),
    () => parseRemoteUploads(bytes),
    () => parseRemoteUploadId(bytes),
    () => parseRemoteCompleted(bytes),
  )
}

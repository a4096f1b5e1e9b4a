import type { CborValue } from '../../../format/cbor.ts'
import { keep, type Wrong } from './release-messages.ts'

/** Proofs as CBOR maps written out, and for each some that must be refused. */
const byHeader = {
  kind: 'header',
  method: 'PUT',
  path: '/b/k%C3%A9',
  query: '',
  headers: ['host', 's3.example', 'x-amz-date', '20260102T030405Z', 'x-amz-meta-name', '\u00e9'],
  payload: 'UNSIGNED-PAYLOAD',
  key: 'AK',
  date: '20260102',
  region: 'us-east-1',
  time: '20260102T030405Z',
  expires: null,
  signature: 'ab'.repeat(32),
}
const presigned = { ...byHeader, kind: 'presigned', method: 'GET', query: 'a=b', expires: 604_800 }

export const PROOF_DRAFTS: { name: string; value: CborValue; refused: Wrong[] }[] = [
  {
    name: 'by header',
    value: byHeader,
    refused: [
      ['a field less', 'malformed', keep(byHeader, 'region')],
      ['a header without its value', 'malformed', { ...byHeader, headers: ['host'] }],
      ['a line end in a value', 'malformed', { ...byHeader, headers: ['host', 'a\nb'] }],
      ['a line end in the path', 'malformed', { ...byHeader, path: '/b\r' }],
      ['a character above 255', 'malformed', { ...byHeader, headers: ['host', '\u0100'] }],
      ['another method', 'unsupported', { ...byHeader, method: 'PATCH' }],
      ['a signature of 65 bytes', 'limit', { ...byHeader, signature: 'a'.repeat(65) }],
    ],
  },
  {
    name: 'presigned',
    value: presigned,
    refused: [
      ['valid for more than a week', 'limit', { ...presigned, expires: 604_801 }],
      ['valid for a negative time', 'malformed', { ...presigned, expires: -1 }],
    ],
  },
]

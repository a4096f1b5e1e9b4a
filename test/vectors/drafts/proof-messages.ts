import type { CborValue } from '../../../format/cbor.ts'
import { keep, type Wrong } from './release-structures.ts'

/** Proofs as CBOR maps written out, and for each some that must be refused. */
const request = {
  method: 'PUT',
  path: '/b/k%C3%A9',
  query: '',
  headers: ['host', 's3.example', 'x-amz-date', '20260102T030405Z', 'x-amz-meta-name', '\u00e9'],
  payload: 'UNSIGNED-PAYLOAD',
}
const byHeader = {
  ...{ ...request, kind: 'signed', scheme: 'AWS4', form: 'header', key: 'AK', date: '20260102', region: 'us-east-1' },
  ...{ time: '20260102T030405Z', expires: null, signature: 'ab'.repeat(32) },
}
const presigned = { ...byHeader, form: 'presigned', method: 'GET', query: 'a=b', expires: 604_800 }
const google = { ...presigned, scheme: 'GOOG4' }
const bearer = { ...request, kind: 'bearer', token: 'e30.e30.', dpop: null, request: '' }
const bound = { ...bearer, dpop: 'e30.e30.AA', request: 'cd'.repeat(16) }
const form = { kind: 'policy', bucket: 'b', fields: ['key', 'k\u00e9', 'policy', 'e30=', 'signature', 'AA=='] }
const session = { ...request, kind: 'session', ticket: 'AAAA' }

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
      ['another scheme', 'unsupported', { ...byHeader, scheme: 'AWS2' }],
      ['another kind', 'unsupported', { ...byHeader, kind: 'header' }],
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
  { name: "presigned, Google's", value: google, refused: [['no kind', 'malformed', keep(google, 'kind')]] },
  {
    name: 'bearer',
    value: bearer,
    refused: [
      ['a field of a signature', 'malformed', { ...bearer, signature: 'ab' }],
      ['a token above the bound', 'limit', { ...bearer, token: 'a'.repeat(16_385) }],
      ['a line end in the token', 'malformed', { ...bearer, token: 'a\nb' }],
    ],
  },
  {
    name: 'bearer with a DPoP proof',
    value: bound,
    refused: [['a request number above the bound', 'limit', { ...bound, request: 'a'.repeat(33) }]],
  },
  {
    name: 'session',
    value: session,
    refused: [['a ticket above the bound', 'limit', { ...session, ticket: 'a'.repeat(2049) }]],
  },
  {
    name: 'form',
    value: form,
    refused: [
      ['a field without its value', 'malformed', { ...form, fields: ['key'] }],
      ['a field twice', 'malformed', { ...form, fields: ['key', 'a', 'key', 'b'] }],
      ['a name in upper case', 'malformed', { ...form, fields: ['Key', 'a'] }],
      ['129 fields', 'limit', { ...form, fields: Array.from({ length: 258 }, (_, at) => `${at}`) }],
      ['a method', 'malformed', { ...form, method: 'POST' }],
    ],
  },
  {
    name: 'ticket of an upload',
    value: { kind: 'upload', ticket: Buffer.from('t') },
    refused: [
      ['a ticket as text', 'malformed', { kind: 'upload', ticket: 't' }],
      ['a ticket of 4097 bytes', 'limit', { kind: 'upload', ticket: Buffer.alloc(4097) }],
    ],
  },
]

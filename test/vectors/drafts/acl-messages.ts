import { byDrive, type Draft, id, keep, place, proof, something, stored } from './release-structures.ts'

const bind = { proof, object: byDrive, document: Buffer.from('<AccessControlList/>'), named: null }
const aclGeneration = { id: '0123456789abcdef', generation: 2, acl: 'all=R' }
const aclInForce = { acl: 'all=R', revision: 2, metageneration: 3, held: true }
const aclObject = { proof, object: byDrive, document: Buffer.from('d'), referrers: 3, replaces: null }
const bucketAsk = { proof, bucket: 'b' }
const bucketFacts = { owner: 'o', account: 'acme', acl: 'all=R user:o=FULL', defaultAcl: null, revision: 1 }

/** Messages of `KeyRelease` about ACLs and buckets. */
export const ACL_DRAFTS: Draft[] = [
  {
    message: 'bind ask',
    value: [bind],
    refused: [['a document of 65,537 bytes', 'limit', [{ ...bind, document: Buffer.alloc(65_537) }]]],
  },
  {
    message: 'bind answer',
    value: aclInForce,
    refused: [
      something,
      ['an ACL of 49,153 bytes', 'limit', { ...aclInForce, acl: 'a'.repeat(49_153) }],
      ['a number for held', 'malformed', { ...aclInForce, held: 1 }],
    ],
  },
  {
    name: 'bind answer, it did not hold',
    message: 'bind answer',
    value: { acl: null, revision: 0, metageneration: 1, held: false },
    refused: [],
  },
  {
    message: 'putAclObject ask',
    value: [aclObject],
    refused: [
      ['a negative count', 'malformed', [{ ...aclObject, referrers: -1 }]],
      ['text for what it replaces', 'malformed', [{ ...aclObject, replaces: '' }]],
    ],
  },
  {
    name: 'putAclObject ask, in place of one',
    message: 'putAclObject ask',
    value: [{ ...aclObject, replaces: id }],
    refused: [],
  },
  {
    message: 'putAclObject answer',
    value: aclGeneration,
    refused: [['an id of 17 bytes', 'limit', { ...aclGeneration, id: '0'.repeat(17) }]],
  },
  {
    message: 'dropAclObject ask',
    value: [{ proof, place, objectId: id }],
    refused: [['no object id', 'malformed', [{ proof, place }]]],
  },
  { message: 'dropAclObject answer', value: null, refused: [something] },
  { message: 'aclObjectAt ask', value: [place], refused: [['no key', 'malformed', [keep(place, 'k')]]] },
  {
    message: 'aclObjectAt answer',
    value: { ...aclGeneration, objectId: id },
    refused: [['no object id', 'malformed', aclGeneration]],
  },
  { name: 'aclObjectAt answer, none', message: 'aclObjectAt answer', value: null, refused: [] },
  {
    message: 'openBucket ask',
    value: [{ ...bucketAsk, named: stored }],
    refused: [['no proof', 'malformed', [{ ...bucketAsk, proof: null, named: null }]]],
  },
  {
    message: 'openBucket answer',
    value: bucketFacts,
    refused: [['a negative revision', 'malformed', { ...bucketFacts, revision: -1 }]],
  },
  {
    message: 'bindBucket ask',
    value: [{ ...bucketAsk, of: 'default-object', document: Buffer.alloc(0), named: null }],
    refused: [['an unknown one', 'unsupported', [{ ...bucketAsk, of: 'policy', document: Buffer.alloc(0), named: null }]]],
  },
  {
    message: 'bindBucket answer',
    value: { ...bucketFacts, defaultAcl: '', held: true },
    refused: [['a field less', 'malformed', bucketFacts]],
  },
  { message: 'closeBucket ask', value: [bucketAsk], refused: [['no bucket', 'malformed', [keep(bucketAsk, 'bucket')]]] },
  { message: 'closeBucket answer', value: null, refused: [something] },
]

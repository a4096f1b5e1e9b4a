import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type AclEntry, ENTRIES_MAX, FULL, makeAcl, R, RA, type Scope, W, WA } from '../../../access/acl/acl.ts'
import { mayDo, rightsOf, type Who } from '../../../access/acl/decide.ts'
import { oracle, type World } from './oracle.ts'

const test = suite('ACL decision')

const BITS = { READ: R, WRITE: W, READ_ACP: RA, WRITE_ACP: WA, FULL_CONTROL: FULL } as const
const scopeOf = (whom: string): Scope => {
  const [kind, name = ''] = whom.split(' ')
  if (whom === 'everybody') return { kind: 'all' }
  if (whom === 'everybody known') return { kind: 'authenticated' }
  if (whom === 'the bucket owner') return { kind: 'bucket-owner' }
  if (kind === 'group') return { kind, id: name }
  return kind === 'domain' ? { kind, domain: name } : { kind: 'user', id: name }
}
const bitsOf = (grants: readonly string[]) =>
  grants.reduce((bits, grant) => bits | (Object.entries(BITS).find(([name]) => name === grant)?.[1] ?? 0), 0)

function ours(world: World): string {
  const entries = world.entries.map(({ whom, grants }): AclEntry => ({ scope: scopeOf(whom), rights: bitsOf(grants) }))
  const { asks } = world
  const who: Who =
    asks === null
      ? { kind: 'anonymous' }
      : { kind: 'known', id: asks.id, groups: new Set(asks.memberOf), domains: new Set(asks.domainsOf) }
  const acl = world.there ? makeAcl(entries, world) : null
  const resource = { kind: world.on, owner: world.owner, bucketOwner: world.bucketOwner, acl }
  const rights = rightsOf(resource, who, world)
  for (const bit of [R, W, RA, WA] as const) assert.is(mayDo(resource, who, bit, world), (rights & bit) !== 0)
  return ['READ', 'WRITE', 'READ_ACP', 'WRITE_ACP'].filter(name => (rights & bitsOf([name])) !== 0).join(' ')
}
const said = (world: World): string => {
  const may = oracle(world)
  return ['READ', 'WRITE', 'READ_ACP', 'WRITE_ACP'].filter(name => may.has(name)).join(' ')
}

const SCOPES = ['user a', 'user b', 'group g', 'domain d.org', 'everybody known', 'everybody', 'the bucket owner']
const GRANTS = [['READ'], ['WRITE'], ['READ_ACP'], ['WRITE_ACP'], ['FULL_CONTROL'], ['READ', 'WRITE']]
const ASKING = [
  null,
  { id: 'a', memberOf: [], domainsOf: [] },
  { id: 'a', memberOf: ['g'], domainsOf: ['d.org'] },
  { id: 'b', memberOf: ['g'], domainsOf: [] },
  { id: 'c', memberOf: ['h'], domainsOf: ['e.org'] },
  { id: 'd.org', memberOf: [], domainsOf: [] },
]

test('all small worlds, of no, one and two entries, are decided as the oracle decides them', () => {
  const singles = SCOPES.flatMap(whom => GRANTS.map(grants => ({ whom, grants })))
  const lists = [
    [],
    ...singles.map(one => [one]),
    ...singles.flatMap((one, at) => singles.slice(at).map(two => [one, two])),
  ]
  let worlds = 0
  let allowed = 0
  for (const entries of lists)
    for (const asks of ASKING)
      for (const on of ['bucket', 'object'] as const)
        for (const owner of [null, 'a', 'z'])
          for (const bucketOwner of owner === 'a' ? ['a', 'b'] : [null, 'b'])
            for (const [specificOverrides, readersSeeAcl] of [
              [false, false],
              [true, false],
              [true, true],
            ] as const) {
              const world = { on, owner, bucketOwner, entries, specificOverrides, readersSeeAcl, there: true, asks }
              const [is, should] = [ours(world), said(world)]
              if (is !== should) assert.unreachable(`${JSON.stringify(world)}: "${is}", the oracle says "${should}"`)
              worlds++
              if (is !== '') allowed++
            }
  assert.ok(worlds > 150_000 && allowed > worlds / 5 && allowed < worlds, `${allowed} of ${worlds} allow something`)
})

test('large worlds are decided as the oracle decides them', () => {
  const id = fc.constantFrom('a', 'b', 'c', 'd', 'e')
  const whom = fc.oneof(
    id.map(each => `user ${each}`),
    id.map(each => `group ${each}`),
    id.map(each => `domain ${each}.org`),
    fc.constantFrom('everybody', 'everybody known', 'the bucket owner'),
  )
  const entries = fc.array(fc.record({ whom, grants: fc.subarray(Object.keys(BITS), { minLength: 1 }) }), {
    maxLength: ENTRIES_MAX,
  })
  const world = fc.record({
    on: fc.constantFrom('bucket', 'object'),
    owner: fc.option(id),
    bucketOwner: fc.option(id),
    entries,
    specificOverrides: fc.boolean(),
    readersSeeAcl: fc.boolean(),
    there: fc.boolean(),
    asks: fc.option(fc.record({ id, memberOf: fc.array(id), domainsOf: fc.array(id.map(each => `${each}.org`)) })),
  })
  fc.assert(
    fc.property(world, each => {
      assert.is(ours(each as World), said(each as World))
    }),
    { numRuns: 3000 },
  )
})

test('an owner that is nobody is nobody: the anonymous caller is not him', () => {
  const resource = { kind: 'object', owner: null, bucketOwner: null, acl: makeAcl([]) } as const
  assert.is(rightsOf(resource, { kind: 'anonymous' }), 0)
})

test("without its ACL a resource is its owner's alone", () => {
  const resource = { kind: 'object', owner: 'a', bucketOwner: 'b', acl: null } as const
  const known = (id: string): Who => ({ kind: 'known', id, groups: new Set(['g']), domains: new Set() })
  assert.is(rightsOf(resource, known('a')), R | RA | WA)
  assert.is(rightsOf(resource, known('b')), 0)
  assert.is(rightsOf(resource, { kind: 'anonymous' }), 0)
})

test.run()

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Administration, AdministrationError } from '../../../format/administration.ts'
import { type AuthorityFixture, authorityFixture, faultOf, proofOf } from './authority-fixture.ts'

const test = suite('directory')
let fixture: AuthorityFixture
let at: Administration
test.before(async () => {
  fixture = await authorityFixture()
  at = fixture.authority.administration
  for (const name of ['acme', 'other']) await at.createAccount(name)
})
test.after(() => fixture.remove())

const refused = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'none',
    (error: unknown) => (error instanceof AdministrationError ? error.fault : String(error)),
  )

test('an account has a user of its own, who bears its id and its name and cannot be disabled alone', async () => {
  const [own, ...others] = await at.listUsers('acme')
  assert.equal(others, [])
  assert.is(own?.id, own?.account)
  assert.is(own?.name, 'acme')
  assert.is(await refused(at.disableUser('acme')), 'refused')
})

test('users are named by id or account/name, one of a name in an account', async () => {
  const anna = await at.createUser('acme', 'anna', ' Anna@Acme.Example ')
  assert.is(anna.email, 'anna@acme.example')
  assert.is(await refused(at.createUser('acme', 'anna', null)), 'exists')
  const namesake = await at.createUser('other', 'anna', 'anna@acme.example')
  assert.not.equal(namesake.id, anna.id)
  assert.is((await at.createAccessKey('acme/anna', '')).user, anna.id)
  assert.is((await at.createAccessKey(namesake.id, '')).account, namesake.account)
  for (const [account, name, email] of [
    ['none', 'x', null],
    ['acme', '/', null],
    ['acme', '', null],
    ['acme', 'x', 'no address'],
    ['acme', 'x', 'a@b'],
  ] as const)
    assert.ok(
      ['not-found', 'malformed'].includes(await refused(at.createUser(account, name, email))),
      `${name} ${email}`,
    )
  assert.is(await refused(at.createAccessKey('acme/nobody', '')), 'not-found')
})

test('an address can be given later, to an account’s own user too, changed and taken away', async () => {
  const mail = async (user: string) => (await at.listUsers('acme')).find(each => each.name === user)?.email
  await at.createUser('acme', 'late', null)
  await at.setEmail('acme/late', 'Late@Acme.example')
  await at.setEmail('acme', 'office@acme.example')
  assert.equal([await mail('late'), await mail('acme')], ['late@acme.example', 'office@acme.example'])
  await at.setEmail('acme/late', null)
  assert.is(await mail('late'), null)
  assert.is(await refused(at.setEmail('acme/late', 'nobody')), 'malformed')
  assert.is(await refused(at.setEmail('acme/nobody', null)), 'not-found')
})

test('a disabled user signs nothing from the next request on, and gets no further key', async () => {
  await at.createUser('acme', 'gone', null)
  const { accessKey, secret } = await at.createAccessKey('acme/gone', '')
  const proof = () => proofOf({ accessKey, secretKey: secret }, 'GET', { bucket: 'b', key: 'k' })
  const { release } = fixture.authority
  assert.is((await release.authenticate(proof())).name, 'gone')
  await at.disableUser('acme/gone')
  assert.is(await faultOf(release.authenticate(proof())), 'disabled')
  assert.is(await refused(at.createAccessKey('acme/gone', '')), 'state')
})

test('a group shows who is in it; deleting it takes it out of every other', async () => {
  const team = await at.createGroup('acme', 'team', null)
  await at.createGroup('acme', 'all', null)
  await at.addMember('acme/all', 'group', 'acme/team')
  await at.addMember(team.id, 'user', 'other')
  await at.addMember(team.id, 'user', 'other')
  assert.equal(
    (await at.showGroup('acme/team')).members.map(each => `${each.kind} ${each.name}`),
    ['user other'],
  )
  assert.is(await refused(at.createGroup('acme', 'team', null)), 'exists')
  assert.is(await refused(at.addMember('acme/none', 'user', 'other')), 'not-found')
  assert.is(await refused(at.addMember('acme/team', 'user', 'nobody')), 'not-found')
  assert.is(await refused(at.removeMember('acme/team', 'user', 'acme')), 'not-found')
  await at.deleteGroup('acme/team')
  assert.equal((await at.showGroup('acme/all')).members, [])
  assert.is(await refused(at.showGroup(team.id)), 'not-found')
  assert.equal(
    (await at.listGroups('acme')).map(each => each.name),
    ['all'],
  )
})

test('a domain is of one account, and of no other', async () => {
  await at.addDomain('acme', 'Acme.Example')
  await at.addDomain('acme', 'acme.example')
  assert.is(await refused(at.addDomain('other', 'acme.example')), 'exists')
  assert.is(await refused(at.removeDomain('other', 'acme.example')), 'not-found')
  assert.is(await refused(at.addDomain('acme', 'com')), 'malformed')
  await at.removeDomain('acme', 'acme.example')
  await at.addDomain('other', 'acme.example')
})

test('what is kept is there after a new start', async () => {
  const before = await at.listUsers('acme')
  const authority = await fixture.reopen()
  at = authority.administration
  assert.equal(await at.listUsers('acme'), before)
})

test.run()

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AdministrationError, DEFAULT_EPOCH_LIMITS, type JobRequest } from '../../../format/administration.ts'
import { openWorld, policy, type Someone } from './world.ts'

const test = suite('the ACL that a job is ordered with')
const world = await openWorld()
const { anna, bert, carl, administration } = world
const bucket = await world.bucket()

const MARKED = { 'content-type': 'application/vnd.storage.acl+xml' }
async function list(
  key: string,
  who: Someone,
  grants: string[],
  headers: Record<string, string> = {},
): Promise<string> {
  await world.good(who, `PUT /${bucket}/${key}`, { ...MARKED, ...headers }, policy(grants))
  return `${bucket}/${key}`
}
function order(acl: string, aclMode: JobRequest['aclMode'] = 'copy') {
  const kind = { mode: 'write-only', deletes: 'ignore', versions: 'latest', limits: DEFAULT_EPOCH_LIMITS } as const
  return administration.createJob({ account: 'anna', buckets: [bucket], acl, aclMode, ...kind })
}
async function faultOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (error) {
    if (error instanceof AdministrationError) return error.fault
    throw error
  }
  return 'none'
}

await world.good(anna, `PUT /${bucket}?acl`, {}, policy([`${anna.id}=FULL_CONTROL`, `${bert.id}=WRITE`]))
const crew = await list('crew', anna, [`${bert.id}=READ`])

for (const [asked, mode, shown] of [
  ['private', 'copy', 'private'],
  ['public-read', 'copy', 'public-read'],
  ['Authenticated-Read', 'copy', 'authenticated-read'],
  [crew, 'copy', `user:${bert.id}=R`],
  [crew, 'reference', `by reference to ${crew}`],
  [`${crew}#1`, 'reference', `by reference to ${crew}#1`],
] as const)
  test(`${asked.replace(bucket, 'BUCKET')} by ${mode} is ordered, and shown`, async () => {
    const { job, acl } = await order(asked, mode)
    assert.is(acl, shown)
    assert.is((await administration.showJob(job)).acl, shown)
  })

for (const [asked, fault] of [
  ['everybody-reads', 'malformed'],
  ['public-read-write', 'malformed'],
  ['', 'malformed'],
  ['/', 'malformed'],
  [`${crew}#x`, 'malformed'],
  [`${crew}#9`, 'not-found'],
  [`${bucket}/nothing`, 'not-found'],
] as const)
  test(`${asked.replace(bucket, 'BUCKET') || 'nothing'} is not ordered: ${fault}`, async () => {
    assert.is(await faultOf(order(asked, 'reference')), fault)
  })

test('what is no ACL object is not ordered', async () => {
  await world.good(anna, `PUT /${bucket}/plain`, {}, 'text')
  assert.is(await faultOf(order(`${bucket}/plain`)), 'not-found')
})

test('an ACL object of another account is ordered only when its owner lets others refer to it', async () => {
  assert.is(await faultOf(order(await list('his', bert, [`${carl.id}=READ`]), 'reference')), 'refused')
  assert.is(await faultOf(order(await list('his', bert, [`${carl.id}=READ`]), 'copy')), 'refused')
  const lent = await list('lent', bert, [`${carl.id}=READ`], { 'x-storage-acl-consent': 'any' })
  assert.is(await faultOf(order(lent, 'reference')), 'none')
})

test('one that is deleted is shown as gone', async () => {
  const { job } = await order(await list('short', anna, []), 'reference')
  await world.good(anna, `DELETE /${bucket}/short`)
  assert.is((await administration.showJob(job)).acl, 'by reference to an ACL object that is gone')
})

test.after(() => world.remove())
test.run()

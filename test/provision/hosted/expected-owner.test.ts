import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openWorld } from '../acl/world.ts'

const test = suite('whose bucket a caller means')
const { anna, bert, carl, ...world } = await openWorld()
const bucket = await world.bucket(carl, { 'x-amz-acl': 'public-read-write' })
await world.good(carl, `PUT /${bucket}/k`, { 'x-amz-acl': 'public-read' }, 'text')

for (const [who, id, status] of [
  ['its owner', carl.id, 200],
  ['its account', anna.id, 200],
  ['another', bert.id, 403],
  ['nobody', '', 403],
] as const)
  test(`${who} expected as its owner: ${status}`, async () => {
    const headers = { 'x-amz-expected-bucket-owner': id }
    for (const line of [`GET /${bucket}/k`, `GET /${bucket}`, `PUT /${bucket}/new`])
      assert.is((await world.ask(bert, line, headers)).status, status, line)
  })

test('of a copy’s source, too', async () => {
  const his = await world.bucket(bert)
  const copy = (id: string) =>
    world.ask(bert, `PUT /${his}/k`, {
      'x-amz-copy-source': `/${bucket}/k`,
      'x-amz-source-expected-bucket-owner': id,
    })
  assert.is((await copy(anna.id)).status, 200)
  assert.is((await copy(bert.id)).status, 403)
})

test.after(() => world.remove())
test.run()

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openWorld } from '../acl/world.ts'

const test = suite('whose buckets and objects are')
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

for (const dialect of ['amz', 'goog'])
  test(`of a copy’s source, too: x-${dialect}-copy-source`, async () => {
    const his = await world.bucket(bert)
    const copy = (id: string) =>
      world.ask(bert, `PUT /${his}/k`, {
        [`x-${dialect}-copy-source`]: `/${bucket}/k`,
        'x-amz-source-expected-bucket-owner': id,
      })
    assert.is((await copy(anna.id)).status, 200)
    assert.is((await copy(bert.id)).status, 403)
  })

test('listings name the owner of each object, whoever lists', async () => {
  const mixed = await world.bucket(anna, { 'x-amz-acl': 'public-read-write' })
  await world.good(anna, `PUT /${mixed}/a`, {}, 'x')
  await world.good(bert, `PUT /${mixed}/b`, {}, 'x')
  await world.good(null, `PUT /${mixed}/c`, {}, 'x')
  for (const query of ['', '?list-type=2&fetch-owner=true', '?versions'])
    for (const who of [anna, bert, null]) {
      const { text } = await world.good(who, `GET /${mixed}${query}`)
      const found = [...text.matchAll(/<Owner><ID>([^<]*)<\/ID><DisplayName>([^<]*)</g)].map(each => each.slice(1))
      const wanted = [
        [anna.id, 'anna'],
        [bert.id, 'bert'],
        ['anonymous', 'anonymous'],
      ]
      assert.equal(found, wanted, `${who?.id} ${query}`)
    }
  assert.not.match((await world.good(bert, `GET /${mixed}?list-type=2`)).text, '<Owner>')
})

test('listings of uploads name who began each', async () => {
  const mixed = await world.bucket(anna, { 'x-amz-acl': 'public-read-write' })
  for (const who of [anna, bert]) await world.good(who, `POST /${mixed}/${who === anna ? 'a' : 'b'}?uploads`)
  const { text } = await world.good(anna, `GET /${mixed}?uploads`)
  const named = (tag: string) => [...text.matchAll(new RegExp(`<${tag}><ID>([^<]*)</ID>`, 'g'))].map(each => each[1])
  for (const tag of ['Owner', 'Initiator']) assert.equal(named(tag), [anna.id, bert.id])
  const id = /<Key>b<\/Key><UploadId>([^<]+)</.exec(text)?.[1]
  const parts = await world.good(anna, `GET /${mixed}/b?uploadId=${id}`)
  assert.match(parts.text, `<Initiator><ID>${bert.id}</ID><DisplayName>bert</DisplayName></Initiator><Owner>`)
})

test.after(() => world.remove())
test.run()

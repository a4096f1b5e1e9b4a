import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openWorld } from '../acl/world.ts'

const test = suite('copies in Google’s words')
const { anna, bert, ...world } = await openWorld()
const bucket = await world.bucket(anna)
await world.good(anna, `PUT /${bucket}/k`, { 'x-goog-meta-year': '1895' }, 'text')
const SOURCE = { 'x-goog-copy-source': `/${bucket}/k` }

test('x-goog-copy-source names the source, and its metadata goes along or not', async () => {
  await world.good(anna, `PUT /${bucket}/same`, SOURCE)
  const same = await world.good(anna, `GET /${bucket}/same`)
  assert.equal([same.text, same.headers.get('x-amz-meta-year')], ['text', '1895'])
  await world.good(anna, `PUT /${bucket}/other`, {
    ...SOURCE,
    'x-goog-metadata-directive': 'REPLACE',
    'x-goog-meta-year': '1896',
  })
  assert.is((await world.good(anna, `HEAD /${bucket}/other`)).headers.get('x-amz-meta-year'), '1896')
})

test('its conditions hold', async () => {
  const asked = { ...SOURCE, 'x-goog-copy-source-if-match': '"0123"' }
  assert.is((await world.ask(anna, `PUT /${bucket}/no`, asked)).status, 412)
})

test('two sources are refused, and nothing is there', async () => {
  const asked = { ...SOURCE, 'x-amz-copy-source': `/${bucket}/same` }
  assert.ok((await world.ask(anna, `PUT /${bucket}/two`, asked)).status >= 400)
  assert.is((await world.ask(anna, `GET /${bucket}/two`)).status, 404)
})

test('who may not read the source copies nothing', async () => {
  const his = await world.bucket(bert)
  assert.is((await world.ask(bert, `PUT /${his}/k`, SOURCE)).status, 403)
})

test.after(() => world.remove())
test.run()

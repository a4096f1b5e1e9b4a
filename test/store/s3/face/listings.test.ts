import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { onFace } from './asking.ts'

const test = suite('S3 face: keys and listings')
const on = onFace(test)

on('keys are decoded once and not normalised; odd ones list percent-encoded on request', async (ask, store) => {
  for (const path of ['a/../b', 'a//b', '%2E%2E', 'a%252Fb', 'a+b', 'c%00d', '%EF%BB%BFbom'])
    await ask(`PUT /bkt/${path}`, {}, 'x')
  const { objects } = await store.list('bkt', { prefix: '', limit: 100 })
  const keys = objects.map(object => object.key)
  assert.equal(keys.toSorted(), ['..', 'a%2Fb', 'a+b', 'a/../b', 'a//b', 'c\0d', '\ufeffbom'].toSorted())
  const list = await ask('GET /bkt?list-type=2&encoding-type=url')
  for (const name of ['a%252Fb', 'a%2Bb', 'a/../b', 'c%00d']) assert.ok(list.text.includes(`<Key>${name}</Key>`), name)
  assert.ok((await ask('GET /bkt')).text.includes('<Key>c&#x0;d</Key>'))
})

on('listings page through all keys by marker and by token', async ask => {
  const keys = ['a/1', 'a/2', 'b', 'c/1', 'd', 'd/é']
  for (const key of keys) await ask(`PUT /bkt/${encodeURI(key)}`, {}, 'x')
  for (const size of [1, 2, 3, 6]) {
    for (const [first, tag, next] of [
      ['GET /bkt?delimiter=/', 'NextMarker', 'marker'],
      ['GET /bkt?list-type=2&delimiter=/', 'NextContinuationToken', 'continuation-token'],
      ['GET /bkt?versions&delimiter=/', 'NextKeyMarker', 'key-marker'],
    ] as const) {
      const found: string[] = []
      let from = ''
      for (;;) {
        const { text, status } = await ask(`${first}&max-keys=${size}${from}`)
        assert.is(status, 200)
        found.push(
          ...[...text.matchAll(/<Key>(.*?)<\/Key>|<CommonPrefixes><Prefix>(.*?)<\/Prefix>/g)].map(
            hit => hit[1] ?? hit[2] ?? '',
          ),
        )
        const token = new RegExp(`<${tag}>(.*?)</${tag}>`).exec(text)?.[1]
        assert.is(token === undefined, text.includes('<IsTruncated>false'))
        if (token === undefined) break
        from = `&${next}=${encodeURIComponent(token)}`
      }
      assert.equal(found.toSorted(), ['a/', 'b', 'c/', 'd', 'd/'], `${first} ${size}`)
    }
  }
  const versions = await ask('GET /bkt?versions&prefix=b')
  assert.match(versions.text, /<Version><Key>b<\/Key><VersionId>null<\/VersionId><IsLatest>true<\/IsLatest>/)
  assert.is((await ask('GET /bkt?versions&version-id-marker=null')).status, 400)
  const started = await ask('GET /bkt?list-type=2&start-after=b&fetch-owner=true')
  assert.equal(
    [...started.text.matchAll(/<Key>(.*?)<\/Key>/g)].map(hit => hit[1]),
    ['c/1', 'd', 'd/é'],
  )
  assert.ok(started.text.includes('<Owner><ID>me</ID>'))
})

test.run()

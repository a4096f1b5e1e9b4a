import * as assert from 'uvu/assert'
import { fault, type On, put } from './calls.ts'

/** Buckets are made and removed by whoever asks. */
export function bucketVerbs(on: On): void {
  on('buckets: made once, listed by name, headed, removed only when empty', async store => {
    assert.is(await store.headBucket('a'), null)
    await store.createBucket('a')
    await store.createBucket('c')
    assert.is(await fault(store.createBucket('a')), 'bucket-exists')
    assert.equal(
      (await store.listBuckets()).map(bucket => bucket.name),
      ['a', 'b', 'c'],
    )
    assert.is((await store.headBucket('a'))?.name, 'a')
    await put(store, 'k', 'x')
    assert.is(await fault(store.deleteBucket('b')), 'bucket-not-empty')
    await store.delete('b', 'k')
    await store.deleteBucket('b')
    assert.is(await fault(store.deleteBucket('b')), 'no-bucket')
    assert.equal(
      (await store.listBuckets()).map(bucket => bucket.name),
      ['a', 'c'],
    )
  })
}

/** What is asked of a bucket that is not there. */
export function missingBucket(on: On): void {
  on('every verb on a missing bucket is fault no-bucket', async store => {
    assert.is(await fault(put(store, 'k', 'x', {}, 'none')), 'no-bucket')
    assert.is(await fault(store.head('none', 'k')), 'no-bucket')
    assert.is(await fault(store.get('none', 'k')), 'no-bucket')
    assert.is(await fault(store.delete('none', 'k')), 'no-bucket')
    assert.is(await fault(store.list('none', { prefix: '', limit: 10 })), 'no-bucket')
  })
}

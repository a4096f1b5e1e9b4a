import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { presignQuery, signRequest } from '../../../access/sign.ts'
import { openWorld, type World } from '../acl/world.ts'

const test = suite("Google's signatures at the hosted store")
let world: World
test.before(async () => {
  world = await openWorld()
})
test.after(() => world.remove())

async function* none(): AsyncGenerator<Uint8Array> {}

async function status(request: Parameters<typeof signRequest>[0]): Promise<number> {
  const answer = await world.hosted.face({ ...request, body: none() })
  if (answer.body !== null && !(answer.body instanceof Uint8Array)) for await (const _ of answer.body);
  return answer.status
}

test('one access key serves both schemes, by header and presigned, to the keystore’s own judgement', async () => {
  const bucket = await world.bucket()
  await world.good(world.anna, `PUT /${bucket}/k`, {}, 'x')
  const time = new Date(world.fixture.clock.now)
  const head = {
    method: 'GET',
    rawPath: `/${bucket}/k`,
    rawQuery: '',
    headers: [['host', 'localhost']] as [string, string][],
  }
  for (const scheme of ['AWS4', 'GOOG4'] as const) {
    const options = { region: 'auto', time, scheme }
    assert.is(await status(signRequest(head, world.anna, { ...options, payload: 'UNSIGNED-PAYLOAD' })), 200, scheme)
    assert.is(await status(signRequest(head, world.bert, { ...options, payload: 'UNSIGNED-PAYLOAD' })), 403, scheme)
    const rawQuery = presignQuery(head, world.anna, { ...options, expiresSeconds: 60 })
    assert.is(await status({ ...head, rawQuery }), 200, `${scheme} presigned`)
    assert.is(await status({ ...head, rawQuery, rawPath: `/${bucket}/other` }), 403, `${scheme} for another object`)
    const late = presignQuery(head, world.anna, {
      ...options,
      time: new Date(time.getTime() - 61_000),
      expiresSeconds: 60,
    })
    assert.is(await status({ ...head, rawQuery: late }), 403, `${scheme} too late`)
  }
})

test.run()

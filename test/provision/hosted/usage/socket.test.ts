import { statSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { askUsage, serveUsage, usageSocketPath } from '../../../../provision/join/usage-socket.ts'
import { openWorld } from '../../acl/world.ts'

const test = suite('the socket by which operators ask for usage and quotas')
const world = await openWorld()
const socket = usageSocketPath(world.directory)
const server = await serveUsage(socket, world.hosted)
const QUOTA = { scope: 'bucket', id: 'b', dimension: 'reads', period: 'day', amount: 5 }

async function ask(method: 'GET' | 'PUT' | 'DELETE', path: string, value?: object) {
  const answer = await askUsage(socket, method, path, value)
  assert.ok(answer)
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk)
  return { status: answer.statusCode, text: Buffer.concat(chunks).toString('utf8') }
}

test('it is the operator’s alone', () => assert.is(statSync(socket).mode & 0o777, 0o600))

test('a quota is set, listed and removed, once', async () => {
  assert.is((await ask('PUT', '/quotas', QUOTA)).status, 200)
  assert.equal(JSON.parse((await ask('GET', '/quotas')).text), { quotas: [QUOTA] })
  const { amount: _, ...key } = QUOTA
  assert.equal(JSON.parse((await ask('DELETE', '/quotas', key)).text), { removed: true })
  assert.equal(JSON.parse((await ask('DELETE', '/quotas', key)).text), { removed: false })
})

for (const [name, value, says] of [
  ['a dimension that there is not', { ...QUOTA, dimension: 'songs' }, /dimension/],
  ['a period that does not fit', { ...QUOTA, period: 'second' }, /per hour, day or month/],
  ['less than nothing', { ...QUOTA, amount: -1 }, /amount/],
  ['a field too many', { ...QUOTA, more: 1 }, /more/],
] as const)
  test(`${name} is refused by name`, async () => {
    const { status, text } = await ask('PUT', '/quotas', value)
    assert.is(status, 400)
    assert.match((JSON.parse(text) as { message: string }).message, says)
  })

test('usage comes as CSV with its header, and as lines of JSON', async () => {
  const bucket = await world.bucket()
  await world.good(world.anna, `PUT /${bucket}/k`, {}, 'text')
  const at = `/usage?from=0&to=${world.fixture.clock.now + 3_600_000}&bucket=${bucket}`
  const [header, line, ...rest] = (await ask('GET', `${at}&format=csv`)).text.trim().split('\n')
  assert.is(header, 'hour,account,bucket,user,reads,writes,refused,bytes_in,bytes_out,byte_hours')
  assert.match(line ?? '', new RegExp(`^[0-9T:.Z-]+,${world.anna.id},${bucket},${world.anna.id},0,2,0,4,0,`))
  assert.equal(rest, [])
  assert.is((JSON.parse((await ask('GET', at)).text) as { bytesIn: number }).bytesIn, 4)
})

test('a time that is none is refused', async () => assert.is((await ask('GET', '/usage?from=x&to=1')).status, 400))
test('nobody who listens is told from a refusal', async () =>
  assert.is(await askUsage(`${socket}-none`, 'GET', '/quotas'), null))

test.after(async () => {
  await server.close()
  await world.remove()
})
test.run()

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sealift } from './agent.ts'
import { prepareDevice } from './prepared.ts'

const test = suite('grants that are not taken')

const ROWS: { name: string; options: Parameters<typeof prepareDevice>[0]; says: string }[] = [
  { name: 'one that has expired', options: { expiresAt: Date.now() - 1000 }, says: 'expired on' },
  { name: 'one for an export', options: { mode: 'export' }, says: 'import jobs only' },
  { name: 'one that wants names destroyed', options: { namesAfterSeal: 'destroyed' }, says: 'wants names destroyed' },
]

for (const { name, options, says } of ROWS)
  test(`${name} is refused with the right code, and says why`, async () => {
    const device = await prepareDevice(options)
    try {
      const { code, stderr } = await sealift(device, ['unlock'], device.code)
      assert.is(code, 77)
      assert.match(stderr, says)
    } finally {
      await device.remove()
    }
  })

test("another device's grant does not open this device's token", async () => {
  const [mine, other] = [await prepareDevice(), await prepareDevice()]
  try {
    const { code, stderr } = await sealift({ state: mine.state, drive: other.drive }, ['unlock'], other.code)
    assert.is(code, 77, stderr)
  } finally {
    await mine.remove()
    await other.remove()
  }
})

test.run()

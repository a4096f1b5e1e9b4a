import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type CustodyLog, openCustodyLog } from '../../agent/custody.ts'
import { CustodyChain, readCustodyLog } from '../../format/custody.ts'
import { FormatError } from '../../format/fault.ts'
import { type Device, makeDevice } from '../store/pack/device.ts'

const test = suite('the custody log on the drives')

const logOf = (device: Device, number: number): string => join(device.root, `drive${number}`, 'custody.log')
const open = (device: Device): Promise<CustodyLog> =>
  openCustodyLog(device.drives, device.owner, device.source.sign, () => 1000)

async function events(device: Device, number: number): Promise<string[]> {
  const bytes = readFileSync(logOf(device, number))
  const chain = new CustodyChain(device.owner.identity)
  const names: string[] = []
  for await (const event of readCustodyLog(async (offset, length) => bytes.subarray(offset, offset + length)))
    names.push(chain.take(event).event)
  return names
}

test('an event that could not be written is no gap: the next one follows the last that is there', async () => {
  const device = await makeDevice({ drives: 2 })
  try {
    const log = await open(device)
    await log.note('unlocked', {})
    const kept = readFileSync(logOf(device, 2))
    rmSync(logOf(device, 2))
    mkdirSync(logOf(device, 2))
    await log.note('locked', {}).then(
      () => assert.unreachable('it was not written on every drive'),
      () => undefined,
    )
    rmSync(logOf(device, 2), { recursive: true })
    writeFileSync(logOf(device, 2), kept)
    await log.note('sealed', {})
    for (const number of [1, 2]) assert.equal(await events(device, number), ['unlocked', 'sealed'])
  } finally {
    device.remove()
  }
})

test('a drive whose log is shorter is brought up to the longest', async () => {
  const device = await makeDevice({ drives: 2 })
  try {
    const log = await open(device)
    await log.note('unlocked', {})
    const first = readFileSync(logOf(device, 1))
    await log.note('locked', {})
    writeFileSync(logOf(device, 1), first)
    await (await open(device)).note('unlocked', {})
    for (const number of [1, 2]) assert.equal(await events(device, number), ['unlocked', 'locked', 'unlocked'])
  } finally {
    device.remove()
  }
})

test('a last event that is cut short, or whose bytes a power cut lost, is cut off; a changed one is refused', async () => {
  const device = await makeDevice()
  try {
    const log = await open(device)
    await log.note('unlocked', {})
    const first = readFileSync(logOf(device, 1))
    await log.note('locked', {})
    const both = readFileSync(logOf(device, 1))
    const length = both.subarray(first.length, first.length + 4)
    const lost = Buffer.alloc(both.length - first.length)
    for (const tail of [both.subarray(first.length, -1), lost, Buffer.concat([length, lost.subarray(4)])]) {
      writeFileSync(logOf(device, 1), Buffer.concat([first, tail]))
      await (await open(device)).note('sealed', {})
      assert.equal(await events(device, 1), ['unlocked', 'sealed'])
    }
    const changed = Buffer.from(both)
    changed.writeUInt8(changed.readUInt8(both.length - 5) ^ 1, both.length - 5)
    writeFileSync(logOf(device, 1), changed)
    await open(device).then(
      () => assert.unreachable('it was changed'),
      error => assert.instance(error, FormatError),
    )
  } finally {
    device.remove()
  }
})

test.run()

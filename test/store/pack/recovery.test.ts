// timeout: 180s, test 120s
import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { FRAME } from '../../../format/frame.ts'
import { type WalkedFrame, walkPack } from '../../../format/pack-walk.ts'
import { StoreError } from '../../../store/object-store.ts'
import type { ChainHead } from '../../../store/pack/chain.ts'
import { bytesOf, type Device, getText, makeDevice, PLAIN, putText, readAll } from './device.ts'

const test = suite('recovery of packs')

/** The device as a kill leaves it: nothing is closed, the files are as they are. */
function snapshot(device: Device, name: string): string {
  const copy = join(device.root, name)
  cpSync(join(device.root, 'drive1'), copy, { recursive: true })
  return copy
}

async function reopen(device: Device, drivePath: string, head: ChainHead) {
  rmSync(device.indexPath, { force: true })
  rmSync(`${device.indexPath}-wal`, { force: true })
  rmSync(`${device.indexPath}-shm`, { force: true })
  const [drive] = device.drives
  if (drive === undefined) throw new Error('a device without a drive')
  return device.open({ drives: [{ ...drive, path: drivePath }, ...device.drives.slice(1)], head })
}

const packOf = (drive: string): string => join(drive, 'packs', readdirSync(join(drive, 'packs'))[0] ?? '')

async function framesOf(path: string): Promise<WalkedFrame[]> {
  const bytes = readFileSync(path)
  const out: WalkedFrame[] = []
  for await (const frame of walkPack(async (offset, length) => bytes.subarray(offset, offset + length))) out.push(frame)
  return out
}

test('a pack cut anywhere gives back every object before the cut, whole, and none after it', async () => {
  const device = await makeDevice({ readBack: 'none' })
  try {
    const store = await device.open()
    for (let count = 0; count < 12; count++)
      await putText(store, `k${String(count).padStart(2, '0')}`, `content ${count} `.repeat(count * 7))
    const head = device.head
    const base = snapshot(device, 'base')
    await store.close()
    const frames = await framesOf(packOf(base))
    const commits = frames.filter(frame => frame.type === FRAME.commit)
    assert.is(commits.length, 12)
    const size = statSync(packOf(base)).size
    const edges = frames.flatMap(({ offset, end }) => [
      offset,
      offset + 1,
      offset + 15,
      offset + 16,
      offset + 79,
      offset + 80,
      end - 1,
    ])
    for (const cut of [...new Set([...edges, size])].sort((a, b) => a - b)) {
      const copy = snapshot({ ...device, root: device.root } as Device, `cut${cut}`)
      rmSync(copy, { recursive: true })
      cpSync(base, copy, { recursive: true })
      truncateSync(packOf(copy), cut)
      const opened = await reopen(device, copy, head)
      const whole = commits.filter(frame => frame.end <= cut).length
      const { objects } = await opened.list('b', { prefix: '', limit: 1000 })
      assert.is(objects.length, whole, `cut at ${cut}`)
      for (let count = 0; count < whole; count++)
        assert.is(await getText(opened, `k${String(count).padStart(2, '0')}`), `content ${count} `.repeat(count * 7))
      assert.equal(opened.recovered.damage, [])
      // and it goes on, and seals with a true tree
      await putText(opened, 'after', 'after')
      const sealed = await opened.seal()
      assert.is(sealed.checkpoint.objects, whole + 1)
      await opened.close()
      rmSync(copy, { recursive: true })
    }
  } finally {
    device.remove()
  }
})

test('damage in what was durable loses the object that it hits, by name, and no other', async () => {
  const device = await makeDevice({ readBack: 'none' })
  try {
    const store = await device.open()
    for (let count = 0; count < 8; count++) await putText(store, `k${count}`, `content ${count}`)
    const head = device.head
    const base = snapshot(device, 'base')
    const index = readFileSync(device.indexPath)
    await store.close()
    const frames = await framesOf(packOf(base))
    const commits = frames.filter(frame => frame.type === FRAME.commit)
    const bodies = frames.filter(frame => frame.type === FRAME.body)
    const third = commits[3]
    const body = bodies[3]
    if (third === undefined || body === undefined) throw new Error('no fourth object')
    for (const at of [
      third.offset + 2,
      third.offset + 20,
      third.offset + 60,
      third.offset + 120,
      third.end - 1,
      body.offset + 1,
      body.offset + 18,
    ]) {
      const copy = join(device.root, `damaged${at}`)
      cpSync(base, copy, { recursive: true })
      const bytes = readFileSync(packOf(copy))
      bytes[at] = (bytes[at] ?? 0) ^ 0x10
      writeFileSync(packOf(copy), bytes)
      const opened = await reopen(device, copy, head)
      const { objects } = await opened.list('b', { prefix: '', limit: 1000 })
      assert.equal(
        objects.map(each => each.key),
        ['k0', 'k1', 'k2', 'k4', 'k5', 'k6', 'k7'],
        `damage at ${at}`,
      )
      assert.ok(opened.recovered.damage.length > 0, `damage at ${at}`)
      for (const key of ['k2', 'k4', 'k7']) assert.is(await getText(opened, key), `content ${key.slice(1)}`)
      assert.is((await opened.seal()).checkpoint.objects, 7)
      await opened.close()
    }
    assert.ok(index.length > 0)
  } finally {
    device.remove()
  }
})

test('commits of the next epoch that stand before the last epoch’s leaves are found again', async () => {
  const device = await makeDevice({ readBack: 'none', limits: { objects: 5 } })
  try {
    const store = await device.open()
    await Promise.all(Array.from({ length: 23 }, (_, count) => putText(store, `k${count}`, `content ${count}`)))
    // epochs end behind the PUTs that they are over for
    for (let turn = 0; turn < 1000 && device.head.number === 0; turn++) await delay(10)
    const head = device.head
    assert.ok(head.number >= 1, 'at least one epoch has ended')
    const copy = snapshot(device, 'killed')
    await store.close()
    const opened = await reopen(device, copy, head)
    assert.is((await opened.list('b', { prefix: '', limit: 1000 })).objects.length, 23)
    const sealed = await opened.seal()
    assert.is(sealed.checkpoint.treeSize, 23)
    assert.is(sealed.checkpoint.objects, 23)
    await opened.close()
  } finally {
    device.remove()
  }
})

test('an older state of the drive than the device remembers is refused', async () => {
  const device = await makeDevice({ readBack: 'none' })
  try {
    const store = await device.open()
    await putText(store, 'one', 'one')
    await store.seal()
    const old = snapshot(device, 'old')
    await store.reopen()
    await putText(store, 'two', 'two')
    await store.seal()
    await store.close()
    try {
      await reopen(device, old, device.head)
      assert.unreachable('an older drive was taken')
    } catch (error) {
      assert.ok(error instanceof StoreError && error.fault === 'damaged', String(error))
      assert.match(error.message, 'older state')
    }
  } finally {
    device.remove()
  }
})

test('a pack whose header was never written is no pack, and is not shipped', async () => {
  const device = await makeDevice({ readBack: 'none' })
  try {
    const store = await device.open()
    await putText(store, 'one', 'one')
    const head = device.head
    const copy = snapshot(device, 'killed')
    await store.close()
    for (const [name, bytes] of [
      ['aa', 0],
      ['bb', 57],
    ] as const)
      writeFileSync(join(copy, 'packs', `${name.repeat(16)}.pack`), Buffer.alloc(bytes))
    const opened = await reopen(device, copy, head)
    assert.is(await getText(opened, 'one'), 'one')
    const sealed = await opened.seal()
    await opened.close()
    assert.equal(
      readdirSync(join(copy, 'packs')).sort(),
      sealed.checkpoint.packs.map(each => `${each.pack}.pack`).sort(),
    )
  } finally {
    device.remove()
  }
})

test('a multipart upload goes on after a restart without its index', async () => {
  const device = await makeDevice({ readBack: 'none' })
  try {
    const store = await device.open()
    const upload = await store.createUpload('b', 'large', { ...PLAIN, contentType: 'text/x-part' })
    const part = Buffer.alloc(5 << 20, 'p')
    const first = await store.putPart(upload.id, 1, bytesOf(part), { finish: () => ({ etag: 'p1' }) })
    const head = device.head
    const copy = snapshot(device, 'killed')
    await store.close()
    const opened = await reopen(device, copy, head)
    const second = await opened.putPart(upload.id, 2, bytesOf('tail'), { finish: () => ({ etag: 'p2' }) })
    const record = await opened.completeUpload(
      upload.id,
      [
        { partNumber: 1, etag: first.etag },
        { partNumber: 2, etag: second.etag },
      ],
      { finish: () => ({ etag: 'whole-2' }) },
    )
    assert.is(record.size, part.length + 4)
    assert.is(record.attributes.contentType, 'text/x-part')
    const found = await opened.get('b', 'large', { first: part.length - 2, last: part.length + 3 })
    assert.is((await readAll(found?.body ?? bytesOf())).toString(), 'pptail')
    await opened.close()
  } finally {
    device.remove()
  }
})

const TABLES = [
  ...['object', 'stone', 'stones', 'body', 'buried', 'part', 'upload', 'upload-name', 'closed'],
  ...['epoch', 'pack', 'leaves', 'total'],
]

function rowsOf(device: Device): Record<string, string[]> {
  const index = device.openIndex()
  const all = TABLES.map(table => {
    const rows = index.scan(table, { prefix: Buffer.alloc(0), limit: 10_000 })
    return [table, rows.map(({ key, value }) => `${key.toString('latin1')} = ${value.toString('utf8')}`)]
  })
  index.close()
  return Object.fromEntries(all)
}

test('an index rebuilt from the packs is the one that was written, row for row', async () => {
  const device = await makeDevice({ readBack: 'none', drives: 2, limits: { objects: 50 } })
  try {
    const store = await device.open()
    const key = (at: number): string => `k${String((at * 7919) % 300)}`
    // versions, deletions, epochs
    await Promise.all(Array.from({ length: 300 }, (_, at) => putText(store, key(at), `content ${at}`)))
    await Promise.all(Array.from({ length: 90 }, (_, at) => putText(store, key(at), `version 2 of ${at}`.repeat(at))))
    for (let at = 60; at < 120; at++) await store.delete('b', key(at))
    await Promise.all(Array.from({ length: 20 }, (_, at) => putText(store, key(at + 100), `again ${at}`)))
    // packs of their own, side by side
    await Promise.all(Array.from({ length: 4 }, (_, at) => putText(store, `large${at}`, Buffer.alloc(3 << 20, at))))
    const part = Buffer.alloc(5 << 20, 'p')
    const finish = (): { etag: string } => ({ etag: 'e' })
    const whole = await store.createUpload('b', 'whole', PLAIN)
    await store.putPart(whole.id, 1, bytesOf(part), { finish })
    await store.putPart(whole.id, 1, bytesOf(part), { finish })
    await store.putPart(whole.id, 2, bytesOf('tail'), { finish })
    const parts = [1, 2].map(partNumber => ({ partNumber, etag: 'e' }))
    await store.completeUpload(whole.id, parts, { finish })
    const aborted = await store.createUpload('b', 'aborted', PLAIN)
    await store.putPart(aborted.id, 1, bytesOf(part), { finish })
    await store.putPart(aborted.id, 2, bytesOf('tail'), { finish })
    await store.abortUpload(aborted.id)
    await store.close()
    // how far the packs are read is noted when they are opened
    await (await device.open()).close()
    const written = rowsOf(device)
    assert.ok((written.object?.length ?? 0) > 200 && (written.pack?.length ?? 0) > 2)
    const opened = await reopen(device, join(device.root, 'drive1'), device.head)
    await opened.close()
    const rebuilt = rowsOf(device)
    // the key of an epoch made ahead, in no pack yet, is forgotten: nothing is sealed under it
    const epochs = written.epoch ?? []
    assert.equal(
      rebuilt.epoch,
      epochs.filter(row => rebuilt.epoch?.includes(row)),
    )
    assert.ok(epochs.length - (rebuilt.epoch?.length ?? 0) <= 1)
    for (const table of TABLES) if (table !== 'epoch') assert.equal(rebuilt[table], written[table], table)
  } finally {
    device.remove()
  }
})

test.run()

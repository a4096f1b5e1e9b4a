import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { StoreError } from '../../../store/object-store.ts'
import type { SourceFile } from '../../../store/pack/sealing/messages.ts'
import { SourceReader } from '../../../store/pack/sealing/source-file.ts'
import { pattern } from '../contract/bodies.ts'

const test = suite('files of a source')

/** A clock by which each read takes so many ms. */
function clock(): { ticks: () => number; each: number } {
  const made = { each: 0, at: 0, ticks: () => (made.at += made.each) }
  return made
}

async function onFiles(count: number, work: (files: SourceFile[], text: (at: number) => string) => Promise<void>) {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-source-'))
  const text = (at: number): string => `file ${at} of ${count}`
  try {
    const files = Array.from({ length: count }, (_, at): SourceFile => {
      const path = join(directory, String(at))
      writeFileSync(path, text(at))
      const { size, mtimeMs } = statSync(path)
      return { path, start: 0, length: size, size, modifiedAt: Math.trunc(mtimeMs) }
    })
    await work(files, text)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function textsOf(reader: SourceReader, files: SourceFile[], between = (): void => undefined): Promise<string[]> {
  const contents = await reader.open(files)
  between()
  const found = files.map(() => {
    const next = contents.next()
    return next instanceof StoreError ? next.fault : next.toString()
  })
  contents.release()
  return found
}

for (const [name, each] of [
  ['quick', 0],
  ['slow', 20],
] as const)
  for (const count of [1, 2, 15, 16, 17, 64])
    test(`${count} of a ${name} source come in the order asked for, an error in the place of one that cannot be had`, () =>
      onFiles(count, async (files, text) => {
        const time = clock()
        time.each = each
        const reader = new SourceReader(time.ticks)
        const wanted = files.map((_, at) => text(at))
        assert.equal(await textsOf(reader, files), wanted)
        const [first] = files
        if (first === undefined) throw new Error('no file')
        writeFileSync(first.path, 'longer than it was when it was looked at')
        assert.equal(await textsOf(reader, files), ['source-changed', ...wanted.slice(1)])
        rmSync(first.path)
        assert.equal(await textsOf(reader, files), ['source-unreadable', ...wanted.slice(1)])
      }))

test('a slow source is read before it is asked for, a quick one when it is, and each is known when it becomes the other', () =>
  onFiles(40, async (files, text) => {
    const wanted = files.map((_, at) => text(at))
    const time = clock()
    const reader = new SourceReader(time.ticks)
    const ahead = async (): Promise<boolean> => {
      const paths = files.map(each => each.path)
      const found = await textsOf(reader, files, () => {
        for (const path of paths) rmSync(path)
      })
      // as they were, with the time they had
      for (const [at, file] of files.entries()) {
        writeFileSync(file.path, text(at))
        file.modifiedAt = Math.trunc(statSync(file.path).mtimeMs)
      }
      return found.join() === wanted.join()
    }
    assert.is(await ahead(), false)
    time.each = 20
    // noticed while this one is read
    await textsOf(reader, files)
    assert.is(await ahead(), true)
    assert.is(await ahead(), true)
    time.each = 0
    await textsOf(reader, files)
    assert.is(await ahead(), false)
  }))

test('one read of four that lost the processor does not make a source slow', () =>
  onFiles(64, async files => {
    let calls = 0
    let at = 0
    const reader = new SourceReader(() => {
      // every eighth call ends a fourth read
      if (++calls % 8 === 0) at += 20
      return at
    })
    await textsOf(reader, files)
    await textsOf(reader, files)
    const last = await textsOf(reader, files, () => {
      for (const { path } of files) rmSync(path)
    })
    assert.ok(last.every(each => each === 'source-unreadable'))
  }))

test('what a reader gives is of the length and from the place asked for', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-source-'))
  try {
    const path = join(directory, 'large')
    const bytes = pattern(300_000)
    writeFileSync(path, bytes)
    const { size, mtimeMs } = statSync(path)
    const reader = new SourceReader()
    for (let round = 0; round < 4; round++)
      for (const [start, length] of [
        [0, 0],
        [0, size],
        [1, 200_000],
        [size - 1, 1],
      ] as const) {
        const contents = await reader.open([{ path, start, length, size, modifiedAt: Math.trunc(mtimeMs) }])
        const found = contents.next()
        assert.ok(!(found instanceof StoreError) && found.equals(bytes.subarray(start, start + length)), `${start}`)
        contents.release()
      }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})

test.run()

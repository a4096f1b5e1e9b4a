import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Pace } from '../../store/pace.ts'
import { RangeFile, SMALL_READ_BYTES } from '../../store/range-file.ts'
import { pattern } from './contract/bodies.ts'

const ranges = suite('range file')
const SIZE = 3 * SMALL_READ_BYTES
const content = pattern(SIZE)
const slow = (): Pace => {
  const pace = new Pace()
  for (let count = 0; count < 10; count++) pace.took(20)
  return pace
}

async function onFile(pace: Pace, work: (file: RangeFile) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-range-'))
  try {
    writeFileSync(join(directory, 'file'), content)
    const file = await RangeFile.open(join(directory, 'file'), pace)
    try {
      await work(file)
    } finally {
      await file.close()
      await file.close()
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

for (const length of [0, 1, SMALL_READ_BYTES - 1, SMALL_READ_BYTES, SMALL_READ_BYTES + 1]) {
  ranges(`${length} bytes of a prompt medium are those of the file; the small ones are there at once`, () =>
    onFile(new Pace(), async file => {
      for (const offset of [0, 1, SMALL_READ_BYTES]) {
        const found = file.read(offset, length)
        assert.is(found instanceof Promise, length > SMALL_READ_BYTES)
        assert.ok((await found).equals(content.subarray(offset, offset + length)))
      }
    }),
  )

  ranges(`${length} bytes of a slow medium are left to the thread pool`, () =>
    onFile(slow(), async file => {
      const found = file.read(5, length)
      assert.instance(found, Promise)
      assert.ok((await found).equals(content.subarray(5, 5 + length)))
    }),
  )
}

ranges(
  'a room is filled at once from a prompt medium, as far as the file goes; from a slow or closed one not at all',
  async () => {
    for (const length of [0, 1, SMALL_READ_BYTES]) {
      const room = Buffer.alloc(length)
      await onFile(new Pace(), async file => {
        assert.is(file.readNow(7, room), length)
        assert.ok(room.equals(content.subarray(7, 7 + length)))
        assert.is(file.readNow(SIZE - 1, room), Math.min(1, length))
        await file.close()
        assert.is(file.readNow(0, room), null)
      })
      await onFile(slow(), async file => assert.is(file.readNow(0, room), null))
    }
  },
)

for (const [name, pace] of [
  ['a prompt', new Pace()],
  ['a slow', slow()],
] as const)
  ranges(`at the end of a file on ${name} medium there are fewer bytes, behind it none`, () =>
    onFile(pace, async file => {
      assert.is((await file.read(SIZE - 3, 10)).length, 3)
      assert.is((await file.read(SIZE, 10)).length, 0)
      assert.is((await file.read(SIZE + 1, 10)).length, 0)
    }),
  )

ranges('a file that was closed is not read, whoever has its descriptor now', async () => {
  const left: RangeFile[] = []
  await onFile(new Pace(), async file => {
    left.push(file)
  })
  for (const closed of left) {
    const fault = await Promise.resolve(closed.read(0, 1)).catch((error: unknown) => error)
    assert.is(fault instanceof Error && 'code' in fault && fault.code, 'EBADF')
  }
  assert.is(left.length, 1)
})

ranges('a medium that lets the reader wait is asked in place once in some twenty reads', () => {
  const pace = new Pace()
  let inPlace = 0
  for (let count = 0; count < 1000; count++)
    if (pace.prompt) {
      pace.took(10)
      inPlace++
    } else pace.spared()
  assert.ok(inPlace > 20 && inPlace < 70, String(inPlace))
})

ranges('a medium that is prompt again is read in place again; one long pause costs some reads only', () => {
  const pace = slow()
  let apart = 0
  for (; !pace.prompt; apart++) pace.spared()
  assert.ok(apart < 100, String(apart))
  for (let count = 0; count < 100; count++) {
    pace.took(0.005)
    assert.ok(pace.prompt)
  }
  pace.took(10_000)
  for (apart = 0; !pace.prompt; apart++) pace.spared()
  assert.ok(apart < 20, String(apart))
})

ranges.run()

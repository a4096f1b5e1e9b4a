/** Things that could happen to a drive on its way, each done to a copy of its own. */
import {
  closeSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { FRAME } from '../../format/frame.ts'
import { type WalkedFrame, walkPack } from '../../format/pack-walk.ts'
import { openForReading, windowed } from '../../store/pack/drive.ts'

export type Tampering = { name: string; apply: (drive: string) => Promise<void> }

/** A copy that shares what is not touched: hard links, so that a dozen copies cost one. Files are made single before they are changed. */
export function copyDrive(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    const source = join(entry.parentPath, entry.name)
    const target = join(to, source.slice(from.length))
    if (entry.isDirectory()) mkdirSync(target, { recursive: true })
    else if (entry.isFile()) {
      mkdirSync(dirname(target), { recursive: true })
      linkSync(source, target)
    }
  }
}

/** Breaks the link to the original before a change. */
function own(path: string): string {
  copyFileSync(path, `${path}.own`)
  renameSync(`${path}.own`, path)
  return path
}

const filesIn = (drive: string, folder: string): string[] =>
  readdirSync(join(drive, folder))
    .sort()
    .map(name => join(drive, folder, name))

function first(items: string[], what: string): string {
  const [item] = items
  if (item === undefined) throw new Error(`no ${what} on the drive`)
  return item
}

const packsOf = (drive: string): string[] => filesIn(drive, 'packs').filter(path => statSync(path).size > 1024)

/** Changes bytes of a file in place; `change` is given `length` of them. */
function edit(path: string, offset: number, length: number, change: (bytes: Buffer) => void): void {
  const file = openSync(own(path), 'r+')
  try {
    const bytes = Buffer.alloc(length)
    readSync(file, bytes, 0, length, offset)
    change(bytes)
    writeSync(file, bytes, 0, length, offset)
  } finally {
    closeSync(file)
  }
}

function flip(path: string, offset: number): void {
  edit(path, offset, 1, bytes => bytes.writeUInt8(bytes.readUInt8(0) ^ 0x04))
}

/** First frame of a type in the pack; a body of more than `bytes` where that is asked. */
async function frameOf(path: string, type: WalkedFrame['type'], bytes = 0): Promise<WalkedFrame> {
  const file = await openForReading(path)
  try {
    for await (const frame of walkPack(windowed(file.read)))
      if (frame.type === type && frame.end - frame.offset > bytes) return frame
  } finally {
    await file.close()
  }
  throw new Error(`no frame of type ${type} in ${path}`)
}

async function flipIn(drive: string, type: WalkedFrame['type'], at: (frame: WalkedFrame) => number): Promise<void> {
  const pack = first(packsOf(drive), 'pack')
  flip(pack, at(await frameOf(pack, type)))
}

export const TAMPERINGS: Tampering[] = [
  { name: 'one bit of a body', apply: drive => flipIn(drive, FRAME.body, frame => frame.end - 20) },
  { name: 'one bit of a core header', apply: drive => flipIn(drive, FRAME.body, frame => frame.offset + 16 + 20) },
  { name: 'one bit of an envelope', apply: drive => flipIn(drive, FRAME.commit, frame => frame.offset + 80 + 32 + 60) },
  { name: 'one bit of a frame’s head', apply: drive => flipIn(drive, FRAME.commit, frame => frame.offset + 9) },
  {
    name: 'one bit of a key record in its pack',
    apply: drive => flipIn(drive, FRAME.epoch, frame => frame.offset + 80 + 100),
  },
  { name: 'one bit of the leaves', apply: drive => flipLeaves(drive) },
  {
    name: 'one bit of the last checkpoint',
    apply: async drive => flip(filesIn(drive, 'checkpoints').at(-1) ?? '', 300),
  },
  { name: 'the last checkpoint taken away', apply: async drive => rmSync(filesIn(drive, 'checkpoints').at(-1) ?? '') },
  { name: 'one bit of the grant', apply: async drive => flip(join(drive, 'grant'), 200) },
  { name: 'a pack cut short', apply: async drive => cutShort(first(packsOf(drive), 'pack')) },
  { name: 'a pack taken away', apply: async drive => rmSync(first(packsOf(drive), 'pack')) },
  { name: 'bytes added to a pack', apply: async drive => addBytes(first(packsOf(drive), 'pack')) },
  {
    name: 'a pack put there twice',
    apply: async drive => copyFileSync(first(packsOf(drive), 'pack'), join(drive, 'packs', `${'ab'.repeat(16)}.pack`)),
  },
  { name: 'bytes of two objects exchanged', apply: drive => swapBodies(drive) },
  { name: 'the drive said to be another job’s', apply: async drive => otherJob(drive) },
]

async function flipLeaves(drive: string): Promise<void> {
  for (const pack of packsOf(drive)) {
    const frame = await frameOf(pack, FRAME.leaves).catch(() => null)
    if (frame === null) continue
    flip(pack, frame.offset + 80 + 28 + 100)
    return
  }
  throw new Error('no leaves on the drive')
}

function cutShort(path: string): void {
  truncateSync(own(path), Math.max(1000, statSync(path).size - 10_000))
}

function addBytes(path: string): void {
  writeFileSync(own(path), Buffer.from('and one more thing'), { flag: 'a' })
}

/** The first bytes of two bodies change places, as many as the shorter has: every byte is still one that the device wrote. */
async function swapBodies(drive: string): Promise<void> {
  for (const pack of packsOf(drive)) {
    const [a, b] = await smallBodies(pack)
    if (a === undefined || b === undefined) continue
    const length = Math.min(a.end - a.offset, b.end - b.offset)
    edit(pack, a.offset, b.offset + length - a.offset, bytes => {
      const held = Buffer.from(bytes.subarray(0, length))
      bytes.copyWithin(0, b.offset - a.offset)
      held.copy(bytes, b.offset - a.offset)
    })
    return
  }
  // a directory of one file: its own bytes change places instead
  const pack = first(packsOf(drive), 'pack')
  const body = await frameOf(pack, FRAME.body)
  edit(pack, body.offset + 16 + 28, 64, bytes => bytes.swap16())
}

/** The first two bodies of a pack that are small enough to be held. */
async function smallBodies(pack: string): Promise<WalkedFrame[]> {
  const bodies: WalkedFrame[] = []
  const file = await openForReading(pack)
  try {
    for await (const frame of walkPack(windowed(file.read)))
      if (frame.type === FRAME.body && frame.end - frame.offset <= 65_536 && bodies.push(frame) === 2) break
  } finally {
    await file.close()
  }
  return bodies
}

function otherJob(drive: string): void {
  const path = own(join(drive, 'volume.json'))
  const volume = JSON.parse(readFileSync(path, 'utf8'))
  writeFileSync(path, JSON.stringify({ ...volume, job: '0123456789abcdef0123456789abcdef' }))
}

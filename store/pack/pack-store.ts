import { truncate } from 'node:fs/promises'
import type { DeviceId } from '../../format/bytes.ts'
import { type Checkpoint, peekCheckpoint, verifyCheckpoint } from '../../format/checkpoint.ts'
import { FormatError } from '../../format/fault.ts'
import { PACK_START, readPackHeader } from '../../format/pack-walk.ts'
import { sealCode } from '../../format/seal-code.ts'
import { messageHash } from '../../format/signed.ts'
import { encodeSealFile } from '../../format/volume.ts'
import type { Index } from '../index-store.ts'
import { type MultipartStore, StoreError } from '../object-store.ts'
import { Chain, type ChainHead } from './chain.ts'
import {
  type Drive,
  listCheckpoints,
  listPacks,
  openForReading,
  packPath,
  readCheckpoint,
  windowed,
  writeKeyRecord,
  writeSealFile,
} from './drive.ts'
import { Engine } from './engine.ts'
import type { EpochSource, PackOwner } from './epoch-source.ts'
import { Epochs } from './epochs.ts'
import { writeManifest } from './manifest.ts'
import { type ClosedPack, PackSet } from './pack-set.ts'
import { readTail, replay, type Tail } from './recovery.ts'
import { epochChange, forgetDamaged, readPack, readTotals, type Totals } from './rows.ts'
import { abandonUpload, uploadVerbs } from './uploads.ts'
import { NameLocks, objectVerbs } from './verbs.ts'

export type PackStoreOptions = {
  drives: Drive[]
  owner: PackOwner
  source: EpochSource
  /** empty or behind: it is brought up to the packs */
  index: Index
  /** newest checkpoint that this device remembers; the drives' chain must extend it */
  head: ChainHead
  /** durable when it resolves */
  remember: (head: ChainHead) => Promise<void>
  /** wall clock, ms */
  now: () => number
  /** monotonic, ms */
  ticks: () => number
}

export type Recovered = {
  objects: number
  torn: { pack: string; reason: string }[]
  damage: { pack: string; offset: number; end: number; reason: string }[]
  /** objects whose commit or body is damaged; they are not listed any more and must be put again */
  lost: { bucket: string; key: string }[]
}
export type Sealed = {
  checkpoint: Checkpoint
  signed: Buffer
  code: string
  manifests: string[]
  unfinished: { bucket: string; key: string }[]
  totals: Totals
}

/** An object store on a job's drives: everything sealed, everything signed. */
export type PackStore = MultipartStore & {
  readonly recovered: Recovered
  readonly engine: Engine
  readonly sealed: boolean
  totals: () => Totals
  chainHead: () => ChainHead
  /** Ends the epoch now: its leaves and checkpoint are on the drives when it resolves. */
  endEpoch: () => Promise<void>
  /** Signs that this is all; afterwards no write is taken. Resuming after a crash in between is calling it again. */
  seal: () => Promise<Sealed>
  /** Takes writes again after a seal. */
  reopen: () => Promise<void>
}

type Last = { checkpoint: Checkpoint; hash: Buffer }

/**
 * Opens the drives of a job, brings chain and index up to what the packs hold, and closes what a crash left open with a signed
 * checkpoint, before anything new is taken.
 *
 * @throws StoreError "damaged" - chain broken, signed by another, or older than this device remembers
 */
export async function openPackStore(options: PackStoreOptions): Promise<PackStore> {
  const { drives, owner, source, index, now } = options
  const last = await readChain(options)
  const { closed, tails, lost } = await readPacks(options, last)
  let sequence = Math.max(last?.checkpoint.lastSequence ?? 0, ...tails.map(tail => tail.lastSequence))
  let engine: Engine | null = null
  const packs = new PackSet(drives, owner, closed, now, () => engine?.nextSequence ?? sequence + 1)
  const totals = (): Totals => readTotals(index)
  const chain = new Chain(owner, source, packs, index, last, { now, remember: options.remember, totals })
  const epochs = newEpochs(options, chain)
  engine = new Engine(owner, source, packs, index, epochs, sequence, now)
  sequence = 0
  const leaves = tails.flatMap(tail => tail.leaves)
  if (leaves.length > 0) await chain.close(leaves, null, 'closed-by-recovery')
  const recovered: Recovered = {
    objects: leaves.length,
    torn: tails.flatMap(({ pack, torn }) => (torn === null ? [] : [{ pack, reason: torn }])),
    damage: tails.flatMap(({ pack, damage }) => damage.map(each => ({ pack, ...each }))),
    lost,
  }
  return packStore(options, engine, chain, packs, recovered)
}

function newEpochs(options: PackStoreOptions, chain: Chain): Epochs {
  const { drives, owner, source, index } = options
  return new Epochs(
    source,
    owner,
    {
      begin: async epoch => {
        for (const drive of drives) await writeKeyRecord(drive, epoch.id, epoch.keyRecord)
        index.write([epochChange(epoch.id, epoch.keyRecord, epoch.frame.subarray(4 + epoch.keyRecord.length))])
      },
      end: async epoch => {
        if (epoch.leaves.length > 0) await chain.close(epoch.leaves, epoch.id, 'epoch')
      },
    },
    options.now,
    options.ticks,
  )
}

function packStore(
  options: PackStoreOptions,
  engine: Engine,
  chain: Chain,
  packs: PackSet,
  recovered: Recovered,
): PackStore {
  const { drives, owner, index } = options
  let state: 'open' | 'sealing' | 'sealed' | 'closed' = chain.state === 'sealed' ? 'sealed' : 'open'
  const locks = new NameLocks()
  const gate = {
    underWay: new Set<Promise<unknown>>(),
    mayWrite: (): void => {
      if (state === 'open') return
      const why = {
        sealing: 'this job is being sealed',
        sealed: 'this job is sealed; `sealift reopen` takes writes again',
        closed: 'this drive is closed',
      }[state]
      throw new StoreError('read-only', `${why}: no object is taken`)
    },
  }
  const store: PackStore = {
    ...objectVerbs(engine, locks, gate, new Date(Date.parse(drives[0]?.volume.createdAt ?? '') || 0)),
    ...uploadVerbs(engine, locks, gate),
    recovered,
    engine,
    get sealed() {
      return state === 'sealed'
    },
    totals: () => readTotals(index),
    chainHead: () => chain.head,
    endEpoch: () => engine.epochs.drain(),
    async seal() {
      if (state === 'closed') throw new StoreError('read-only', 'this drive is closed')
      const unfinished: { bucket: string; key: string }[] = []
      if (state !== 'sealed') {
        // what is not completed is taken back and listed, never shipped as if it were whole
        for (;;) {
          const [entry] = index.scan('upload', { prefix: Buffer.alloc(0), limit: 1 })
          if (entry === undefined) break
          const id = entry.key.toString('utf8')
          const row = JSON.parse(entry.value.toString('utf8')) as { bucket: string; key: string }
          unfinished.push({ bucket: row.bucket, key: row.key })
          await abandonUpload(engine, id)
        }
        state = 'sealing'
        // uploads under way find the gate closed at their next bytes and take back what they wrote
        await Promise.allSettled(gate.underWay)
        await engine.epochs.stop()
        engine.forgetKeys()
      }
      const signed =
        state === 'sealed'
          ? await readCheckpoint(firstOf(drives), chain.head.number)
          : await chain.close([], null, 'sealed')
      state = 'sealed'
      await packs.close()
      return await finishSeal(options, packs, signed, unfinished, readTotals(index))
    },
    async reopen() {
      if (state !== 'sealed') throw new StoreError('read-only', 'this job is not sealed: there is nothing to reopen')
      await chain.close([], null, 'reopened')
      engine.epochs = newEpochs(options, chain)
      state = 'open'
    },
    async close() {
      if (state === 'closed') return
      const wasOpen = state === 'open'
      state = 'closed'
      try {
        await Promise.allSettled(gate.underWay)
        if (wasOpen) await engine.epochs.stop()
      } finally {
        engine.forgetKeys()
        await packs.close()
        index.close()
      }
    },
  }
  if (owner.buckets.length === 0) throw new StoreError('forbidden', 'the grant names no bucket')
  return store
}

/** What follows a sealed checkpoint and can be made again from it: manifest and seal file on every drive. */
async function finishSeal(
  options: PackStoreOptions,
  packs: PackSet,
  signed: Buffer,
  unfinished: Sealed['unfinished'],
  totals: Totals,
): Promise<Sealed> {
  const checkpoint = peekCheckpoint(signed)
  const code = sealCode(signed)
  const manifests: string[] = []
  for (const drive of options.drives) {
    const sealed = { signed, number: checkpoint.number, root: checkpoint.root, size: checkpoint.treeSize }
    manifests.push(await writeManifest(drive, packs, options.index, sealed, options.owner.deviceCertificate))
    const seal = {
      format: 1 as const,
      job: checkpoint.job,
      device: checkpoint.device,
      sealNumber: checkpoint.number,
      code,
      objects: checkpoint.objects,
      bytes: checkpoint.bytes,
      sealedAt: new Date(checkpoint.createdAt).toISOString(),
    }
    await writeSealFile(drive, encodeSealFile(seal))
  }
  return { checkpoint, signed, code, manifests, unfinished, totals }
}

function firstOf(drives: Drive[]): Drive {
  const [first] = drives
  if (first === undefined) throw new StoreError('damaged', 'no drive is present: give one with --drive')
  return first
}

/** The chain of checkpoints, from 1, each naming the one before, all signed by this device, extending what it remembers. */
async function readChain(options: PackStoreOptions): Promise<Last | null> {
  const { owner, head } = options
  let last: Last | null = null
  let remembered = head.number === 0
  const drive = await newestDrive(options.drives)
  for (const number of await listCheckpoints(drive)) {
    const bytes = await readCheckpoint(drive, number)
    let checkpoint: Checkpoint
    try {
      checkpoint = verifyCheckpoint(bytes, owner.identity)
    } catch (cause) {
      if (!(cause instanceof FormatError)) throw cause
      throw new StoreError('damaged', `${drive.path}: checkpoint ${number}: ${cause.message}`, { cause })
    }
    const previous = last?.hash ?? Buffer.alloc(32)
    if (
      checkpoint.number !== (last?.checkpoint.number ?? 0) + 1 ||
      !checkpoint.previous.equals(previous) ||
      checkpoint.job !== owner.job ||
      checkpoint.device !== (owner.device as DeviceId)
    )
      throw new StoreError('damaged', `${drive.path}: checkpoint ${number} does not continue this job's chain`)
    last = { checkpoint, hash: messageHash(bytes) }
    if (number === head.number && last.hash.equals(head.hash)) remembered = true
  }
  if (!remembered)
    throw new StoreError(
      'damaged',
      `${drive.path}: its chain does not hold checkpoint ${head.number}, which this device signed: an older state was put back, or it is another drive`,
    )
  return last
}

async function newestDrive(drives: Drive[]): Promise<Drive> {
  let best = firstOf(drives)
  let most = -1
  for (const drive of drives) {
    const numbers = await listCheckpoints(drive)
    if ((numbers[numbers.length - 1] ?? 0) > most) {
      best = drive
      most = numbers[numbers.length - 1] ?? 0
    }
  }
  return best
}

/** Walks every pack from its signed length to its end, cuts a torn tail off, and brings the index up to it. */
async function readPacks(
  options: PackStoreOptions,
  last: Last | null,
): Promise<{ closed: ClosedPack[]; tails: (Tail & { pack: string })[]; lost: Recovered['lost'] }> {
  const { drives, owner, source, index } = options
  const closed: ClosedPack[] = []
  const tails: (Tail & { pack: string })[] = []
  const found: { path: string; closed: ClosedPack; tail: Tail }[] = []
  for (const drive of drives)
    for (const name of await listPacks(drive)) {
      const path = packPath(drive, name)
      const file = await openForReading(path)
      try {
        const read = windowed(file.read)
        const header = await headerOrNull(read, file.size)
        // a crash between creating the file and its header: nothing was ever acknowledged from it
        if (header === null) continue
        if (
          header.pack !== name ||
          header.job !== owner.job ||
          header.device !== owner.device ||
          header.drive !== drive.volume.drive
        )
          throw new StoreError('damaged', `${path} is of another job, device or drive`)
        const signed = last?.checkpoint.packs.find(each => each.pack === header.pack)
        if (signed !== undefined && signed.length > file.size)
          throw new StoreError('damaged', `${path} is shorter (${file.size}) than was signed (${signed.length})`)
        const start = signed === undefined ? PACK_START : { offset: signed.length, previous: signed.head }
        const tail = await readTail(read, file.size, start, last?.checkpoint.lastSequence ?? 0)
        tails.push({ ...tail, pack: path })
        found.push({
          path,
          tail,
          closed: { pack: header.pack, drive, length: tail.end, head: tail.head, epochs: new Map() },
        })
      } finally {
        await file.close()
      }
    }
  const lost: Recovered['lost'] = []
  for (const { path, tail, closed: pack } of found) {
    await truncateTo(path, pack.length)
    closed.push(pack)
    const file = await openForReading(path)
    try {
      const start = readPack(index, pack.pack) ?? PACK_START
      const seen = await replay(
        index,
        source,
        pack.drive.volume.drive,
        pack.pack,
        windowed(file.read),
        start,
        pack.length,
      )
      const damage = [...tail.damage, ...seen]
      if (damage.length > 0) lost.push(...forgetDamaged(index, pack.pack, damage))
    } finally {
      await file.close()
    }
  }
  return { closed, tails, lost }
}

async function headerOrNull(read: (offset: number, length: number) => Promise<Buffer>, size: number) {
  if (size === 0) return null
  try {
    return await readPackHeader(read)
  } catch (cause) {
    if (cause instanceof FormatError && size <= PACK_START.offset) return null
    throw cause
  }
}

async function truncateTo(path: string, length: number): Promise<void> {
  const file = await openForReading(path)
  const { size } = file
  await file.close()
  if (size > length) await truncate(path, length)
}

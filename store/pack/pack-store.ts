import { type Checkpoint, peekCheckpoint } from '../../format/checkpoint.ts'
import { selfTestDigests } from '../../format/digest.ts'
import type { Proof } from '../../format/proof.ts'
import { sealCode } from '../../format/seal-code.ts'
import { encodeSealFile } from '../../format/volume.ts'
import { batchIndex } from '../batched-index.ts'
import { type MultipartStore, StoreError } from '../object-store.ts'
import { Chain, type ChainHead } from './chain.ts'
import { type Drive, freeBytes, readCheckpoint, sweepDrive, writeKeyRecord, writeSealFile } from './drive.ts'
import { type DriveSet, firstOf, readChain, readPacks } from './drive-set.ts'
import { Engine } from './engine.ts'
import { Epochs } from './epochs.ts'
import { Gate } from './gate.ts'
import { proveInclusion } from './inclusion.ts'
import { writeManifest } from './manifest.ts'
import { NameLocks } from './name-locks.ts'
import { epochChange } from './pack-rows.ts'
import { PackSet } from './pack-set.ts'
import { readObject, readTotals, type Totals } from './rows.ts'
import { abandonUpload, type UploadVerbs, uploadVerbs } from './uploads.ts'
import { type FileVerbs, objectVerbs } from './verbs.ts'

export type PackStoreOptions = DriveSet & {
  /** durable when it resolves */
  remember: (head: ChainHead) => Promise<void>
  /** wall clock, ms */
  now: () => number
  /** monotonic, ms */
  ticks: () => number
  /** threads that read, seal and write; 0: this one does */
  sealingThreads: number
  /** what a drive has room for, in bytes; the file system's own word when it is left out */
  freeBytes?: (drive: Drive) => Promise<number>
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
export type PackStore = MultipartStore &
  FileVerbs &
  UploadVerbs & {
    readonly recovered: Recovered
    readonly engine: Engine
    readonly sealed: boolean
    totals: () => Totals
    chainHead: () => ChainHead
    /** Ends the epoch now: its leaves and checkpoint are on the drives when it resolves. */
    endEpoch: () => Promise<void>
    /** Signs that this is all; afterwards no write is taken. Resuming after a crash in between is calling it again. */
    seal: () => Promise<Sealed>
    /** Shows that an object is under the newest signed checkpoint. Fault `invalid-state` when it is not yet; null: no such object. */
    prove: (bucket: string, key: string) => Promise<Proof | null>
    /** Takes writes again after a seal. */
    reopen: () => Promise<void>
  }

/**
 * Opens the drives of a job, brings chain and index up to what the packs hold, and closes what a crash left open with a signed
 * checkpoint, before anything new is taken.
 *
 * @throws StoreError "damaged" - chain broken, signed by another, or older than this device remembers
 */
export async function openPackStore(given: PackStoreOptions): Promise<PackStore> {
  // rows are a cache of the packs: those of one turn share a transaction
  const options = { ...given, index: batchIndex(given.index) }
  const { drives, owner, source, index, now } = options
  // before anything is sealed with it
  selfTestDigests()
  for (const drive of drives) await sweepDrive(drive)
  const last = await readChain(options)
  const { closed, tails, lost } = await readPacks(options, last)
  const sequence = Math.max(last?.checkpoint.lastSequence ?? 0, ...tails.map(tail => tail.lastSequence))
  let engine: Engine | null = null
  const packs = new PackSet(drives, owner, closed, now, () => engine?.lowestSequence ?? sequence + 1, {
    threads: options.sealingThreads,
    ticks: options.ticks,
    freeBytes: options.freeBytes ?? freeBytes,
  })
  if (last?.checkpoint.state !== 'sealed') packs.start()
  const totals = (): Totals => readTotals(index)
  const chain = new Chain(owner, source, packs, index, last, { now, remember: options.remember, totals })
  const epochs = newEpochs(options, chain, packs)
  engine = new Engine(owner, source, packs, index, epochs, sequence, now)
  const leaves = tails.flatMap(tail => tail.leaves)
  try {
    if (leaves.length > 0) await chain.close(leaves, null, 'closed-by-recovery')
  } catch (error) {
    await packs.close()
    throw error
  }
  const recovered: Recovered = {
    objects: leaves.length,
    torn: tails.flatMap(({ pack, torn }) => (torn === null ? [] : [{ pack, reason: torn }])),
    damage: tails.flatMap(({ pack, damage }) => damage.map(each => ({ pack, ...each }))),
    lost,
  }
  return packStore(options, engine, chain, packs, recovered)
}

function newEpochs(options: PackStoreOptions, chain: Chain, packs: PackSet): Epochs {
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
        for (const lane of packs.lanes) await lane.forget(epoch.id)
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
  const gate = new Gate(() => {
    requireCertain()
    if (state === 'open') return
    const why = {
      sealing: 'this job is being sealed',
      sealed: 'this job is sealed; `sealift reopen` takes writes again',
      closed: 'this drive is closed',
    }[state]
    throw new StoreError('read-only', `${why}: no object is taken`)
  })
  /** After a fault that could not be taken back only a recovery shows what is there: until then nothing may build on its absence. */
  function requireCertain(): void {
    if (packs.doubtful)
      throw new StoreError(
        'damaged',
        'the drive failed while it was written: lock and unlock the device when it is well again',
      )
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
      requireCertain()
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
        await gate.settled()
        await engine.epochs.stop()
        engine.reader.forgetKeys()
      }
      const signed =
        state === 'sealed'
          ? await readCheckpoint(firstOf(drives), chain.head.number)
          : await chain.close([], null, 'sealed')
      state = 'sealed'
      await packs.close()
      return await finishSeal(options, packs, signed, unfinished, readTotals(index))
    },
    async prove(bucket, key) {
      const row = readObject(index, bucket, key)
      if (row === null) return null
      if (chain.head.number === 0) throw new StoreError('invalid-state', 'nothing is signed yet: seal the job first')
      const drive = firstOf(drives)
      const signed = await readCheckpoint(drive, chain.head.number)
      const certificate = owner.deviceCertificate
      return proveInclusion({ drive, packs, index, checkpoint: peekCheckpoint(signed), signed, certificate }, row)
    },
    async reopen() {
      if (state !== 'sealed') throw new StoreError('read-only', 'this job is not sealed: there is nothing to reopen')
      await chain.close([], null, 'reopened')
      engine.epochs = newEpochs(options, chain, packs)
      state = 'open'
    },
    async close() {
      if (state === 'closed') return
      const wasOpen = state === 'open'
      state = 'closed'
      try {
        await gate.settled()
        if (wasOpen) await engine.epochs.stop()
      } finally {
        engine.reader.forgetKeys()
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

import type { Transaction } from 'kysely'
import { CORE_HEADER_BYTES, parseCoreHeader } from '../../format/core-header.ts'
import { startDigest } from '../../format/digest.ts'
import { COMPOSITE, type Envelope, parseEnvelope } from '../../format/envelope.ts'
import { FormatError } from '../../format/fault.ts'
import { BODY_HEAD_BYTES, type Commit, FRAME, parseCommit } from '../../format/frame.ts'
import { parseEpochFrame, parseLeavesFrame, type ReadAt } from '../../format/pack-walk.ts'
import { windowed } from '../../store/pack/drive.ts'
import { keepRecord } from './epochs.ts'
import type { WorkSchema } from './schema.ts'
import { soundFrames } from './sound-frames.ts'
import { PAGE, packName, type Work } from './work.ts'

/** Reads every adopted copy from its first frame to its signed length. Commit point of each: its rows with the mark that it was read. */
export async function walkPacks(work: Work): Promise<void> {
  const { database, run } = work
  const packs = await database.selectFrom('packs').selectAll().where('run', '=', run).orderBy('pack').execute()
  const total = packs.reduce((sum, pack) => sum + pack.length, 0)
  let done = 0
  for (const pack of packs) {
    if (pack.walked === 0) {
      await walkOne(work, pack, done, total)
      await database
        .updateTable('packs')
        .set({ walked: 1 })
        .where('run', '=', run)
        .where('pack', '=', pack.pack)
        .execute()
    }
    done += pack.length
    work.progress('walk', done, total)
  }
}

type Rows = { commits: WorkSchema['commits'][]; leaves: WorkSchema['leaves'][] }

async function walkOne(work: Work, pack: WorkSchema['packs'], before: number, total: number): Promise<void> {
  const file = await work.target.open(packName(work, pack.pack))
  if (file === null) {
    await work.find('pack-missing', `the copy of pack ${pack.pack} is gone`)
    return
  }
  try {
    // two windows: frames and bodies are each read in order, one after the other they would throw the window away
    const frames = soundFrames(windowed(file.read), Math.min(pack.length, file.size))
    const bodies = windowed(file.read)
    const source = work.last.packs.find(each => each.pack === pack.pack)?.drive ?? ''
    let rows: Rows = { commits: [], leaves: [] }
    let reported = 0
    for (;;) {
      const next = await frames.next()
      if (next.done) {
        await keep(work, rows)
        if (!next.value.equals(pack.head))
          await work.find('pack-head', `${pack.path}: its last frame is not the one that was signed`)
        return
      }
      const frame = next.value
      if (frame.type === 'broken') {
        const goesOn = frame.next === null ? 'nothing sound follows' : `goes on at ${frame.next}`
        await work.find('frame-damaged', `${pack.path} at ${frame.offset}: ${frame.reason}; ${goesOn}`)
        continue
      }
      if (frame.type !== FRAME.body) await take(work, pack, source, frame, bodies, rows)
      if (rows.commits.length + rows.leaves.length >= PAGE) {
        await keep(work, rows)
        rows = { commits: [], leaves: [] }
        work.progress('walk', before + frame.end, total, frame.end - reported)
        reported = frame.end
      }
    }
  } finally {
    await file.close()
  }
}

async function take(
  work: Work,
  pack: WorkSchema['packs'],
  source: string,
  frame: { type: number; offset: number; payload: Buffer },
  read: ReadAt,
  rows: Rows,
): Promise<void> {
  try {
    if (frame.type === FRAME.epoch) await keepRecord(work, parseEpochFrame(frame.payload).keyRecord, pack.path)
    if (frame.type === FRAME.leaves) {
      const { firstIndex, leaves } = parseLeavesFrame(frame.payload)
      leaves.forEach((encoded, at) => {
        rows.leaves.push({ run: work.run, source, idx: firstIndex + at, encoded: Buffer.from(encoded) })
      })
    }
    if (frame.type === FRAME.commit) {
      const commit = parseCommit(frame.payload)
      const envelope = parseEnvelope(commit.envelope)
      const { fault, coreHeader } = await checkBody(read, commit, envelope, frame.offset)
      rows.commits.push({
        run: work.run,
        object_id: envelope.objectId,
        pack: pack.pack,
        body_offset: commit.bodyOffset + BODY_HEAD_BYTES,
        envelope: Buffer.from(commit.envelope),
        core_header: coreHeader,
        fault,
      })
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    await work.find('frame-damaged', `${pack.path} at ${frame.offset}: ${error.message}`)
  }
}

const CHUNK_BYTES = 1 << 20

/** The body that a commit names, every byte of it, against the digest in its envelope. No key is needed. */
async function checkBody(
  read: ReadAt,
  commit: Commit,
  envelope: Envelope,
  commitOffset: number,
): Promise<{ fault: string; coreHeader: Buffer }> {
  const none = Buffer.alloc(0)
  if (envelope.kind === COMPOSITE) return { fault: '', coreHeader: none }
  const start = commit.bodyOffset + BODY_HEAD_BYTES
  if (start + envelope.bodyLength > commitOffset || envelope.bodyLength < CORE_HEADER_BYTES)
    return { fault: 'its body does not lie before its commit', coreHeader: none }
  const hasher = startDigest(envelope.digestId)
  let coreHeader: Buffer = none
  for (let at = 0; at < envelope.bodyLength; ) {
    const piece = await read(start + at, Math.min(CHUNK_BYTES, envelope.bodyLength - at))
    if (piece.length === 0) return { fault: 'its body is cut short', coreHeader }
    // copied: a window's bytes are the window's
    if (at === 0) coreHeader = Buffer.from(piece.subarray(0, CORE_HEADER_BYTES))
    hasher.update(piece)
    at += piece.length
  }
  if (!hasher.digest().equals(envelope.digest)) return { fault: 'its body does not fit its digest', coreHeader }
  try {
    const fits = parseCoreHeader(coreHeader).objectId === envelope.objectId
    return { fault: fits ? '' : 'its body is of another object', coreHeader }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    return { fault: error.message, coreHeader }
  }
}

async function keep(work: Work, rows: Rows): Promise<void> {
  await work.database.transaction().execute(async change => {
    for (const row of rows.commits)
      await change
        .insertInto('commits')
        .values(row)
        // of two commits of one object the sound one counts
        .onConflict(conflict =>
          conflict
            .columns(['run', 'object_id'])
            .doUpdateSet(row)
            .where('commits.fault', '!=', '')
            .where('commits.run', '=', work.run),
        )
        .execute()
    for (const row of rows.leaves) await keepLeaf(work, change, row)
  })
}

/** What a recovery wrote again must be what it was. */
async function keepLeaf(work: Work, change: Transaction<WorkSchema>, row: WorkSchema['leaves']): Promise<void> {
  const made = await change
    .insertInto('leaves')
    .values(row)
    .onConflict(conflict => conflict.columns(['run', 'source', 'idx']).doNothing())
    .executeTakeFirst()
  if (made.numInsertedOrUpdatedRows !== 0n) return
  const there = await change
    .selectFrom('leaves')
    .select('encoded')
    .where('run', '=', row.run)
    .where('source', '=', row.source)
    .where('idx', '=', row.idx)
    .executeTakeFirst()
  if (there === undefined || there.encoded.equals(row.encoded)) return
  await change
    .insertInto('findings')
    .values({
      run: work.run,
      code: 'leaf-conflict',
      message: `leaf ${row.idx} stands twice on drive ${row.source}, and differs`,
    })
    .onConflict(conflict => conflict.doNothing())
    .execute()
}

import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { PackHead } from '../../format/checkpoint.ts'
import { FormatError } from '../../format/fault.ts'
import { readPackHeader } from '../../format/pack-walk.ts'
import { DRIVE } from '../../format/volume.ts'
import { openForReading } from '../../store/pack/drive.ts'
import { openCheckers } from './checkers.ts'
import { allOf, beginWalk, walkPack } from './walk.ts'
import { packName, type Work } from './work.ts'

type Candidate = { path: string; size: number; pack: string | null }

/**
 * Finds every signed pack among the drives' files and copies it in; while one is copied, those that are in are walked. Commit point of
 * each: the target has it, then its row.
 */
export async function adoptPacks(work: Work): Promise<void> {
  const files = await candidates(work)
  const used = new Set<Candidate>()
  const chosen: { signed: PackHead; file: Candidate }[] = []
  const missing: PackHead[] = []
  for (const signed of work.last.packs) {
    const same = files.filter(file => file.pack === signed.pack)
    // of two files that claim to be one pack, the one that has the signed length
    const file = same.find(each => each.size === signed.length) ?? same[0]
    for (const each of same) {
      used.add(each)
      if (each !== file) await work.find('pack-duplicate', `${each.path} claims to be pack ${signed.pack} too`)
    }
    if (file === undefined) missing.push(signed)
    else chosen.push({ signed, file })
  }
  for (const signed of missing) {
    // a pack whose first bytes are damaged still has its length; its frames will tell whether it is the one
    const file = files.find(each => each.pack === null && !used.has(each) && each.size === signed.length)
    if (file === undefined) {
      await work.find('pack-missing', `pack ${signed.pack} of drive ${signed.drive}, ${signed.length} bytes`)
      continue
    }
    used.add(file)
    chosen.push({ signed, file })
  }
  for (const file of files)
    if (!used.has(file)) await work.find('pack-unknown', `${file.path} is no pack that this seal names`)
  await beginWalk(work)
  const checkers = openCheckers(work)
  const walking: Promise<void>[] = []
  checkers.expect(chosen.length)
  try {
    for (const [at, { signed, file }] of chosen.entries()) {
      const { pack, size } = await adoptOne(work, signed, file)
      const walk = walkPack(work, checkers, pack, () => work.progress('adopt', at + 1, chosen.length))
      // what one of them throws is thrown at the end
      walk.catch(() => undefined)
      walking.push(walk)
      work.progress('adopt', at + 1, chosen.length, size)
    }
    await allOf(walking)
  } finally {
    await checkers.close()
    await Promise.allSettled(walking)
  }
}

async function adoptOne(work: Work, signed: PackHead, file: Candidate) {
  const { size } = await work.target.adopt(packName(work, signed.pack), file.path)
  if (size !== signed.length)
    await work.find('pack-length', `${file.path}: pack ${signed.pack} has ${size} bytes; ${signed.length} were signed`)
  const { pack, length, head } = signed
  await work.database
    .insertInto('packs')
    .values({ run: work.run, pack, path: file.path, length, head, walked: 0 })
    .onConflict(conflict => conflict.columns(['run', 'pack']).doNothing())
    .execute()
  const row = await work.database
    .selectFrom('packs')
    .selectAll()
    .where('run', '=', work.run)
    .where('pack', '=', pack)
    .executeTakeFirstOrThrow()
  return { pack: row, size }
}

async function candidates(work: Work): Promise<Candidate[]> {
  const out: Candidate[] = []
  // every file there, whatever its name says: a pack is what its header says
  for (const volume of work.volumes)
    for (const name of (await readdir(join(volume.path, DRIVE.packs))).sort()) {
      const path = join(volume.path, DRIVE.packs, name)
      const { size } = await stat(path)
      const file = await openForReading(path)
      try {
        const header = await readPackHeader(file.read)
        const ours = header.job === work.job && header.device === work.device
        if (!ours) await work.find('pack-unknown', `${path} is a pack of job ${header.job}, device ${header.device}`)
        else out.push({ path, size, pack: header.pack })
      } catch (error) {
        if (!(error instanceof FormatError)) throw error
        await work.find('pack-header-damaged', `${path}: ${error.message}`)
        out.push({ path, size, pack: null })
      } finally {
        await file.close()
      }
    }
  return out
}

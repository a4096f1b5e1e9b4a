import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { equalBytes } from '../../format/bytes.ts'
import { type Checkpoint, verifyCheckpoint } from '../../format/checkpoint.ts'
import { CheckpointChain } from '../../format/checkpoint-chain.ts'
import { FormatError } from '../../format/fault.ts'
import { grantHash, parseGrantFile } from '../../format/grant.ts'
import { checkSealCode } from '../../format/seal-code.ts'
import { DRIVE, parseSealFile, parseVolume } from '../../format/volume.ts'
import { listCheckpoints, readCheckpoint } from '../../store/pack/drive.ts'
import type { Finding, FindingCode } from './finding.ts'
import type { Step, Volume } from './work.ts'

/** What shows that a seal is the newest: said by the customer, never by the drive. */
export type Shown =
  | { kind: 'seal-code'; code: string }
  | { kind: 'seal-file'; text: Uint8Array }
  | { kind: 'overridden'; by: string }

export type Chain = { steps: Step[]; last: Checkpoint | null; signed: Buffer }
type Find = (code: FindingCode, message: string) => void

/** What each drive says of itself, and which of them are of this job and device. */
export async function readVolumes(paths: string[], job: string, device: string, find: Find): Promise<Volume[]> {
  const out: Volume[] = []
  for (const path of paths) {
    const bytes = await readOrNull(join(path, DRIVE.volume))
    try {
      if (bytes === null) throw new FormatError('malformed', `${DRIVE.volume} is missing`)
      const volume = parseVolume(bytes)
      if (volume.job === job && volume.device === device) out.push({ path, drive: volume.drive })
      else find('drive-of-another', `${path} is of job ${volume.job}, device ${volume.device}; it was left aside`)
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      find('volume-damaged', `${path}: ${error.message}`)
      out.push({ path, drive: null })
    }
  }
  if (out.length === 0) find('wrong-job', `none of the ${paths.length} drives is of job ${job} and device ${device}`)
  return out
}

/** The grant on each drive against those that the authority issued. */
export async function checkGrants(volumes: Volume[], issued: Buffer[], find: Find): Promise<void> {
  for (const { path } of volumes) {
    const bytes = await readOrNull(join(path, DRIVE.grant))
    try {
      if (bytes === null) throw new FormatError('malformed', 'the grant is missing')
      const found = grantHash(parseGrantFile(bytes).signed)
      if (!issued.some(hash => equalBytes(hash, found)))
        find('grant-mismatch', `${path}: its grant was not issued to this device for this job`)
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      find('grant-mismatch', `${path}: ${error.message}`)
    }
  }
}

/**
 * The checkpoints 1..n over all drives. Each number may stand on several drives: one good copy is enough, two different good ones are not.
 * @param identity - the device's key, from the authority
 */
export async function readChain(volumes: Volume[], identity: Buffer, issued: Buffer[], find: Find): Promise<Chain> {
  const places = new Map<number, Volume[]>()
  for (const volume of volumes)
    for (const number of await listCheckpoints(driveOf(volume)))
      places.set(number, [...(places.get(number) ?? []), volume])
  const chain = new CheckpointChain(identity)
  const steps: Step[] = []
  let signed: Buffer = Buffer.alloc(0)
  const highest = Math.max(0, ...places.keys())
  for (let number = 1; number <= highest; number++) {
    const copies = places.get(number) ?? []
    if (copies.length === 0) {
      find('checkpoint-missing', `checkpoint ${number} of ${highest} is on none of the drives`)
      return { steps, last: chain.last, signed }
    }
    const good = await goodCopies(number, copies, identity, find)
    const [first, second] = good
    if (second !== undefined) find('chain-forked', `checkpoint ${number}: the device signed two different ones`)
    if (first === undefined) {
      find('chain-broken', `checkpoint ${number}: no copy bears this device's signature`)
      return { steps, last: chain.last, signed }
    }
    try {
      const next = chain.take(first)
      if (!issued.some(hash => equalBytes(hash, next.grantHash)))
        find('grant-unknown', `checkpoint ${number} names a grant that was not issued to this device for this job`)
      steps.push({ number, treeSize: next.treeSize, root: next.root, peaks: next.peaks })
      signed = first
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      find('chain-broken', error.message)
      return { steps, last: chain.last, signed }
    }
  }
  const { last } = chain
  if (last === null) find('not-sealed', 'the drives hold no checkpoint')
  else if (last.state !== 'sealed')
    find('not-sealed', `the chain ends in checkpoint ${last.number}, which is "${last.state}" and no seal`)
  return { steps, last, signed }
}

async function goodCopies(number: number, copies: Volume[], identity: Buffer, find: Find): Promise<Buffer[]> {
  const good: Buffer[] = []
  const bad: Finding[] = []
  for (const volume of copies) {
    const bytes = await readCheckpoint(driveOf(volume), number)
    if (good.some(each => each.equals(bytes))) continue
    try {
      verifyCheckpoint(bytes, identity)
      good.push(bytes)
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      bad.push({ code: 'checkpoint-damaged', message: `${volume.path}: checkpoint ${number}: ${error.message}` })
    }
  }
  for (const { code, message } of bad) find(code, message)
  return good
}

/** Whether what the customer says names this seal as the newest. */
export function checkFreshness(shown: Shown | null, chain: Chain, find: Find): void {
  if (chain.last === null || chain.last.state !== 'sealed' || shown?.kind === 'overridden') return
  try {
    const why = shown === null ? 'nothing was given that shows which seal is the newest' : otherSeal(shown, chain)
    if (why !== null) find('not-fresh', why)
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    find('not-fresh', error.message)
  }
}

/** @returns null: it is this seal. @throws FormatError "wrong-code" | "malformed" */
function otherSeal(shown: Exclude<Shown, { kind: 'overridden' }>, { last, signed }: Chain): string | null {
  if (shown.kind === 'seal-code') {
    checkSealCode(shown.code, signed)
    return null
  }
  const seal = parseSealFile(shown.text)
  if (seal.job !== last?.job || seal.device !== last.device) return 'the seal file given is of another job or device'
  if (seal.sealNumber !== last.number)
    return `the seal file given is of seal ${seal.sealNumber}; these drives end in ${last.number}`
  checkSealCode(seal.code, signed)
  return null
}

/** Only the path counts for the calls that take a drive. */
export function driveOf(volume: Volume): Parameters<typeof listCheckpoints>[0] {
  const none = '0'.repeat(32)
  type Of = Parameters<typeof listCheckpoints>[0]['volume']
  const said = { format: 1, job: none, device: none, drive: volume.drive ?? none, number: 1, createdAt: '' } as Of
  return { path: volume.path, volume: said }
}

async function readOrNull(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

import type { DriveId, EpochId, PackId } from '../../format/bytes.ts'
import type { Index, IndexChange } from '../index-store.ts'
import { decodeRow, json, text } from './rows.ts'

export type EpochRow = { record: string; kept: string }

export function epochChange(epoch: EpochId, keyRecord: Buffer, keptMetadataKey: Buffer): IndexChange {
  const row: EpochRow = { record: keyRecord.toString('base64'), kept: keptMetadataKey.toString('base64') }
  return { table: 'epoch', key: text(epoch), value: json(row) }
}

export function readEpoch(index: Index, epoch: EpochId): { keyRecord: Buffer; keptMetadataKey: Buffer } | null {
  const value = index.get('epoch', text(epoch))
  if (value === null) return null
  const row = decodeRow<EpochRow>(value)
  return { keyRecord: Buffer.from(row.record, 'base64'), keptMetadataKey: Buffer.from(row.kept, 'base64') }
}

/** How far the index has read a pack; rides in the same transaction as the rows that it covers. */
export type PackRow = { offset: number; previous: string }

export function packChange(pack: PackId, offset: number, previous: Buffer): IndexChange {
  const row: PackRow = { offset, previous: previous.toString('hex') }
  return { table: 'pack', key: text(pack), value: json(row) }
}

export function readPack(index: Index, pack: PackId): { offset: number; previous: Buffer } | null {
  const value = index.get('pack', text(pack))
  if (value === null) return null
  const row = decodeRow<PackRow>(value)
  return { offset: row.offset, previous: Buffer.from(row.previous, 'hex') }
}

/** A leaves frame of a drive: `seal` finds the leaves by these and does not walk the packs. */
export type LeavesRow = { pack: PackId; offset: number; end: number; firstIndex: number; count: number }

export function leavesChange(drive: DriveId, row: LeavesRow): IndexChange {
  const at = Buffer.alloc(8)
  at.writeBigUInt64BE(BigInt(row.firstIndex))
  return { table: 'leaves', key: Buffer.concat([text(drive), at, text(row.pack)]), value: json(row) }
}

/** In tree order. */
export function* readLeavesRows(index: Index, drive: DriveId): Generator<LeavesRow> {
  let after: Buffer | undefined
  for (;;) {
    const page = index.scan('leaves', { prefix: text(drive), limit: 1000, ...(after && { after }) })
    for (const { key, value } of page) {
      yield decodeRow<LeavesRow>(value)
      after = key
    }
    if (page.length < 1000) return
  }
}

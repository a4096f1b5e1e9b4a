import type { SourceEntry } from './source.ts'

/** What the walking thread is told at its start. */
export type WalkOrder = { source: string; prefix: string }

/** To it: one more batch is wanted. From it: a batch, what was lost on the way, and how much the source holds as far as is known. */
export type WalkReport = {
  entries: SourceEntry[]
  lost: { path: string; reason: string }[]
  /** no more entries come */
  over: boolean
}
export type CountReport = { found: { objects: number; bytes: number; whole: boolean } }
export type WalkMessage = WalkReport | CountReport | { failed: { code: string; message: string } }

export const BATCH_ENTRIES = 256

import type { SourceEntry } from './source.ts'

/** What the walking thread is told at its start. */
export type WalkOrder = { source: string; prefix: string }

/** From it: a batch, and what was lost on the way. To it any message means: one more batch is wanted. */
export type WalkReport = {
  entries: SourceEntry[]
  lost: { path: string; reason: string }[]
  /** no more entries come */
  over: boolean
}
export type CountReport = { found: { objects: number; bytes: number; whole: boolean } }
export type WalkMessage = WalkReport | CountReport | { failed: string }

export const BATCH_ENTRIES = 256

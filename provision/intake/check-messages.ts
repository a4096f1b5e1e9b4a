import type { PackCopy } from './check-pack.ts'
import type { Work } from './work.ts'

/** What a thread that reads packs is started with. */
export type CheckOrder = Pick<Work, 'file' | 'run' | 'job' | 'device'> & { identity: Uint8Array }
/** Then pack after pack is sent to it, each when the one before is answered. */
export type CheckAsked = PackCopy
/** Each answered by how far it has come, and in the end by one of the others. */
export type CheckMessage =
  | { bytes: number; more: number }
  | { checked: true }
  | { failed: { message: string; code?: string; syscall?: string } }

import { FormatError } from '../../format/fault.ts'

/** The fault of what `run` throws; 'nothing' when it throws nothing; the error itself in text when it is none of ours. */
export function faultOf(run: () => unknown): string {
  try {
    run()
    return 'nothing'
  } catch (error) {
    return error instanceof FormatError ? error.fault : `not ours: ${String(error)}`
  }
}

export async function faultOfAsync(run: () => Promise<unknown>): Promise<string> {
  try {
    await run()
    return 'nothing'
  } catch (error) {
    return error instanceof FormatError ? error.fault : `not ours: ${String(error)}`
  }
}

export function flippedBit(bytes: Uint8Array, bit: number): Buffer {
  const out = Buffer.from(bytes)
  out[bit >> 3] = (out[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return out
}

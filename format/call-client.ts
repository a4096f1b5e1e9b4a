import type { Duplex } from 'node:stream'
import type { CborValue } from './cbor.ts'
import type { Calls, Codec } from './codec.ts'
import { gathered } from './gathered.ts'
import { decodeAnswer, encodeCall, frameCutter } from './message-frame.ts'

/** Makes the interface's own error of a fault that came over the wire. */
export type FaultReader = (fault: string, message: string) => Error
export type CallClient<Contract> = Contract & { readonly ended: boolean; close(): void }

type Waiting = {
  take: (value: CborValue) => unknown
  resolve: (value: unknown) => void
  reject: (error: Error) => void
}

/**
 * An interface at the other end of a connected stream: calls go out as they are made, answers are matched by their number.
 * @param gone - what every call fails with once the stream has ended
 */
export function callClient<Contract extends object>(
  stream: Duplex,
  calls: Calls<Contract>,
  faultOf: FaultReader,
  gone: (cause?: unknown) => Error,
): CallClient<Contract> {
  const waiting = new Map<number, Waiting>()
  const cut = frameCutter()
  const send = gathered(stream)
  let next = 1
  let lost: Error | null = null
  const lose = (cause?: unknown): void => {
    if (lost !== null) return
    lost = gone(cause)
    for (const each of waiting.values()) each.reject(lost)
    waiting.clear()
    stream.destroy()
  }
  const settle = (body: Buffer): void => {
    const answer = decodeAnswer(body)
    // belongs to no call: the other end says why it ends
    if (answer.number === 0 && 'fault' in answer) {
      lose(faultOf(answer.fault, answer.message))
      return
    }
    const call = waiting.get(answer.number)
    if (call === undefined) return
    waiting.delete(answer.number)
    if ('fault' in answer) call.reject(faultOf(answer.fault, answer.message))
    else call.resolve(call.take(answer.result))
  }
  stream.on('data', (chunk: Buffer) => {
    try {
      for (const body of cut(chunk)) settle(body)
    } catch (cause) {
      lose(cause)
    }
  })
  stream.on('error', lose)
  stream.on('close', () => lose())
  const call = (name: string, { ask, answer }: { ask: Codec<unknown>; answer: Codec<unknown> }, given: unknown[]) => {
    if (lost !== null) return Promise.reject(lost)
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const number = next++
    waiting.set(number, { take: value => answer.take(value, name), resolve, reject })
    try {
      send(encodeCall({ number, call: name, ask: ask.encode(given) }))
    } catch (error) {
      waiting.delete(number)
      throw error
    }
    return promise
  }
  const list = Object.entries(calls) as [string, { ask: Codec<unknown>; answer: Codec<unknown> }][]
  const made = Object.fromEntries(
    list.map(([name, codecs]) => [name, async (...given: unknown[]) => call(name, codecs, given)]),
  )
  return {
    ...(made as Contract),
    get ended() {
      return lost !== null
    },
    close: () => lose(),
  }
}

import { ownedAs } from '../own-body.ts'

/** The same body, its bytes added up. */
export function counted(body: AsyncIterable<Uint8Array>, tally: { bytesIn: number }): AsyncIterable<Uint8Array> {
  return ownedAs(body, { [Symbol.asyncIterator]: () => adding(body, tally) })
}

async function* adding(body: AsyncIterable<Uint8Array>, tally: { bytesIn: number }): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    tally.bytesIn += chunk.length
    yield chunk
  }
}

/** The same body, its first piece at hand. Faults of the body. */
export async function begun(body: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const source = body[Symbol.asyncIterator]()
  let first: IteratorResult<Uint8Array> | null = await source.next()
  const iterator: AsyncIterator<Uint8Array> = {
    async next() {
      const step = first ?? (await source.next())
      first = null
      return step
    },
    async return() {
      await source.return?.()
      return { done: true, value: undefined }
    },
  }
  return ownedAs(body, { [Symbol.asyncIterator]: () => iterator })
}

/** The same body; what breaks in the middle of it is told, as no answer can say it any more. @param end - once, with the bytes given */
export function reporting(
  body: AsyncIterable<Uint8Array>,
  end: (bytes: number) => void,
  report: (error: unknown) => void,
): AsyncIterable<Uint8Array> {
  const source = body[Symbol.asyncIterator]()
  let bytes = 0
  let ended = false
  const over = (): void => {
    if (!ended) end(bytes)
    ended = true
  }
  const iterator: AsyncIterator<Uint8Array> = {
    async next() {
      try {
        const step = await source.next()
        if (step.done) over()
        else bytes += step.value.length
        return step
      } catch (error) {
        over()
        report(error)
        throw error
      }
    },
    async return() {
      over()
      await source.return?.()
      return { done: true, value: undefined }
    },
  }
  return ownedAs(body, { [Symbol.asyncIterator]: () => iterator })
}

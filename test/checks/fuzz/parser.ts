import { AccessError } from '../../../access/fault.ts'
import { FormatError } from '../../../format/fault.ts'
import { TokenError } from '../../../hsm/token.ts'
import { S3Error } from '../../../store/s3/fault.ts'

/** A parser of bytes that come from elsewhere: sound inputs, how it is run, and what it may throw. */
export type Parser = {
  name: string
  /** exported functions that it runs */
  covers: string[]
  samples: () => Buffer[] | Promise<Buffer[]>
  parse: (bytes: Buffer) => unknown
  /** fault classes that it may throw */
  throws: (new (
    ...args: never[]
  ) => Error)[]
}

export const format = (name: string, covers: string[], samples: Parser['samples'], parse: Parser['parse']): Parser => ({
  name,
  covers,
  samples,
  parse,
  throws: [FormatError],
})
export const wire = (name: string, covers: string[], samples: Parser['samples'], parse: Parser['parse']): Parser => ({
  ...format(name, covers, samples, parse),
  throws: [S3Error, AccessError],
})
export const token = (name: string, covers: string[], samples: Parser['samples'], parse: Parser['parse']): Parser => ({
  ...format(name, covers, samples, parse),
  throws: [TokenError, FormatError],
})
export const utf8 = (bytes: Buffer): string => bytes.toString('utf8')
export const drain = async (items: AsyncIterable<unknown>): Promise<void> => {
  for await (const item of items) void item
}

/** Several parsers of the same bytes: what one refuses the others see all the same. */
export const eachOf = (...runs: (() => unknown)[]): void => {
  for (const run of runs)
    try {
      run()
    } catch (error) {
      if (!(error instanceof AccessError || error instanceof S3Error)) throw error
    }
}

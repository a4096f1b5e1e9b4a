/** Tries one parser after another, told by its parent; says what it found. Argument 2: a file that always holds the input under way. */
import { closeSync, openSync, writeSync } from 'node:fs'
import { seeded } from '../faults/random.ts'
import { mutated, valuesOf } from './mutate.ts'
import type { Parser } from './parser.ts'
import { PARSERS } from './parsers.ts'

export type Task = { parser: string; milliseconds: number; seed: number; replay: string[] }
export type Found = { parser: string; what: 'crashed' | 'beyond memory'; input: string; error: string }
export type Told = { found: Found } | { done: { parser: string; tried: number; refused: number } }

/** More resident memory than this above what the process began with, for one input of 256 KiB at most. */
const MEMORY_KIB = 300 << 10

const current = openSync(process.argv[2] ?? '', 'w')
const tell = (told: Told): void => void process.send?.(told)

async function tryOne(parser: Parser, input: Buffer): Promise<'taken' | 'refused'> {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(input.length)
  writeSync(current, Buffer.concat([head, input]), 0, 4 + input.length, 0)
  const before = process.resourceUsage().maxRSS
  let outcome: 'taken' | 'refused' = 'taken'
  try {
    await parser.parse(input)
  } catch (error) {
    outcome = 'refused'
    if (!parser.throws.some(each => error instanceof each)) {
      const said = error instanceof Error ? (error.stack ?? error.message) : String(error)
      tell({
        found: { parser: parser.name, what: 'crashed', input: input.toString('base64'), error: said.slice(0, 1500) },
      })
    }
  }
  const grown = process.resourceUsage().maxRSS - before
  if (grown > MEMORY_KIB)
    tell({
      found: { parser: parser.name, what: 'beyond memory', input: input.toString('base64'), error: `${grown} KiB` },
    })
  return outcome
}

async function run({ parser: name, milliseconds, seed, replay }: Task): Promise<void> {
  const parser = PARSERS.find(each => each.name === name)
  let tried = 0
  let refused = 0
  const one = async (input: Buffer): Promise<void> => {
    tried++
    if (parser !== undefined && (await tryOne(parser, input)) === 'refused') refused++
  }
  if (parser !== undefined) {
    for (const each of replay) await one(Buffer.from(each, 'base64'))
    const random = seeded(seed, name)
    const samples = await parser.samples()
    const values = valuesOf(seed)
    for (const each of samples) await one(each)
    const until = performance.now() + milliseconds
    while (performance.now() < until) await one(mutated(random, samples, values))
  }
  tell({ done: { parser: name, tried, refused } })
}

process.on('message', (task: Task | 'end') => {
  if (task !== 'end') return void run(task)
  closeSync(current)
  process.disconnect()
})

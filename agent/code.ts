import { readFileSync } from 'node:fs'
import { AgentError } from './fault.ts'

export type CodeSource = { fd: number | null; file: string | null; prompt: boolean }

const CODE_LIMIT = 256

/**
 * The unlock code: from a descriptor, a file, or a prompt on a terminal; never from an argument.
 * @throws AgentError "usage" - none of them
 */
export async function readCode(source: CodeSource): Promise<string> {
  if (source.fd !== null) return firstLine(readFileSync(source.fd))
  if (source.file !== null) return firstLine(readFileSync(source.file))
  if (!source.prompt)
    throw new AgentError(
      'usage',
      'the unlock code is needed: type it on a terminal, give --code-fd N, or name a file in SEALIFT_UNLOCK_CODE_FILE',
    )
  const { isCancel, password } = await import('@clack/prompts')
  const typed = await password({ message: 'Unlock code (5 groups of 5)', mask: '*' })
  if (isCancel(typed)) throw new AgentError('usage', 'no unlock code was given')
  return typed
}

function firstLine(bytes: Buffer): string {
  const text = bytes.subarray(0, CODE_LIMIT).toString('utf8')
  return text.split('\n', 1)[0] ?? ''
}

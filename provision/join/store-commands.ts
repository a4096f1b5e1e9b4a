import { resolve } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import type { StoreLine } from '../hosted/stores/desk.ts'
import { type CommonOptions, type Operator, tell } from '../operator.ts'
import { sound, withHosted } from './usage-commands.ts'

type AddOptions = CommonOptions & {
  s3: string
  bucket: string
  prefix: string
  region: string
  credentialsFile: string
  partBytes: number
  opaqueEtags?: boolean
}
type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

const MIB = 1 << 20
/** Sealed bytes; what lies in the database where a bound is not said. */
const INLINE_BYTES = 16 << 10

export function storeCommands(program: Command, operator: Operator): void {
  const ask = async <T>(options: CommonOptions, method: Method, path: string, value?: object): Promise<T> =>
    JSON.parse(await withHosted(operator, options, at => sound(at(method, path, value)))) as T
  const store = program
    .command('store')
    .description('where the bodies of the public store lie: files, the database, stores elsewhere')
  store
    .command('add')
    .argument('<name>', 'a to z, digits and -')
    .requiredOption('--s3 <url>', 'https://HOST[:PORT] of an S3 endpoint')
    .requiredOption('--bucket <bucket>', 'a bucket there, which exists')
    .option('--prefix <prefix>', 'what all names in it begin with; nothing else may lie behind it', '')
    .option('--region <region>', 'what requests are signed for', 'us-east-1')
    .requiredOption('--credentials-file <file>', 'JSON with accessKey and secretKey; copied beside the tables, 0600')
    .option('--part-bytes <bytes>', 'larger blobs go up in parts of so many', wholeNumber, 8 * MIB)
    .option(
      '--opaque-etags',
      'the endpoint encrypts, so that its ETags are no MD5 (SSE-KMS): sizes are compared instead',
    )
    .description('add a store elsewhere: claims the prefix, then writes, reads and deletes a probe')
    .addHelpText(
      'after',
      '\nExample:\n  sealift-provider store add ceph --s3 https://rgw.example --bucket lift --prefix provider-1/ --credentials-file ceph.json',
    )
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<AddOptions>()
      const { s3: url, bucket, prefix, region, partBytes, opaqueEtags = false } = options
      const settings = { url, bucket, prefix, region, partBytes, opaqueEtags }
      const credentialsFile = resolve(options.credentialsFile)
      await ask(options, 'PUT', '/stores', { name, settings, credentialsFile })
      tell(operator, options, { added: name, settings }, [`data store ${name} is added: \`bucket set-store\` uses it`])
    })
  store
    .command('list')
    .description('all data stores, and what lies in them')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const found = await ask<{ stores: StoreLine[] }>(options, 'GET', '/stores')
      tell(operator, options, found, found.stores.map(lineOf))
    })
  store
    .command('check')
    .argument('<name>')
    .description('write, read and delete a probe')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const found = await ask<{ ms: number }>(options, 'POST', '/stores/check', { name })
      tell(operator, options, { name, ...found }, [`${name} writes, reads and deletes: ${found.ms} ms`])
    })
  store
    .command('remove')
    .argument('<name>')
    .description('forget a store in which nothing lies and to which no bucket’s bodies go')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await ask(options, 'DELETE', '/stores', { name })
      tell(operator, options, { removed: name }, [`data store ${name} is gone, and its keys`])
    })
  store
    .command('drain')
    .argument('<name>')
    .argument('<to>', 'another, or files')
    .description('move all that lies in one into another, behind the running store; `store list` shows how far it is')
    .action(async (name: string, to: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const { blobs } = await ask<{ blobs: number }>(options, 'POST', '/stores/drain', { name, to })
      tell(operator, options, { name, to, blobs }, [`${blobs} blobs are to move from ${name} to ${to}`])
    })
  store
    .command('sweep')
    .argument('<name>')
    .description(
      'remove what is dead, and what crashes left a day ago or earlier; the running store does it twice a day',
    )
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const swept = await ask<{ removed: number; uploadsEnded: number }>(options, 'POST', '/stores/sweep', { name })
      const said = `${swept.removed} blobs that nothing names removed, ${swept.uploadsEnded} uploads ended`
      tell(operator, options, { name, ...swept }, [said])
    })
  placementCommands(program, operator, ask)
}

function placementCommands(
  program: Command,
  operator: Operator,
  ask: <T>(options: CommonOptions, method: Method, path: string, value?: object) => Promise<T>,
): void {
  const bucket = program.command('bucket').description('where the bodies of a bucket lie')
  bucket
    .command('set-store')
    .argument('<bucket>')
    .argument('<store>', 'files, or one of `store list`')
    .option(
      '--inline [bytes]',
      `sealed bodies of up to so many bytes go into the database; ${INLINE_BYTES} where none is said`,
      wholeNumber,
    )
    .description('where bodies that are written from now on go')
    .addHelpText('after', '\nExample:\n  sealift-provider bucket set-store film ceph --inline')
    .action(async (name: string, to: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { inline?: number | true }>()
      const { inline = 0 } = options
      const placement = { bucket: name, store: to, inlineMax: inline === true ? INLINE_BYTES : inline }
      await ask(options, 'PUT', '/placements', placement)
      const small = placement.inlineMax === 0 ? '' : `, those of up to ${placement.inlineMax} bytes to the database`
      tell(operator, options, placement, [`new bodies of ${name} go to ${to}${small}`])
    })
  bucket
    .command('move-store')
    .argument('<bucket>')
    .description('move what the bucket holds to where its new bodies go, behind the running store')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const { blobs } = await ask<{ blobs: number }>(options, 'POST', '/placements/move', { bucket: name })
      tell(operator, options, { bucket: name, blobs }, [`${blobs} blobs are to move`])
    })
}

function lineOf({ name, settings, buckets, blobs, bytes, arriving }: StoreLine): string {
  const where = settings === null ? '' : `  ${settings.url}/${settings.bucket}/${settings.prefix}`
  const coming = arriving === 0 ? '' : `, ${arriving} to come`
  return `${name.padEnd(16)}  ${blobs} blobs, ${bytes} bytes${coming}; ${buckets} buckets${where}`
}

function wholeNumber(text: string): number {
  if (!/^\d{1,12}$/.test(text)) throw new InvalidArgumentError('want a whole number of bytes')
  return Number(text)
}

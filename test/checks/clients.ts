import { execFile, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as s3 from '@aws-sdk/client-s3'
import { sealift, startAgent } from '../agent/agent.ts'
import { prepareDevice } from '../agent/prepared.ts'

/**
 * Drives the clients people have against an endpoint of ours: `npm run check:clients`.
 * Exit 0: every client did every verb; 1: one did not; 69: a client is missing and could not be installed.
 */

export type ClientTarget = {
  endpoint: string
  accessKey: string
  secretKey: string
  /** exists and is empty */
  bucket: string
  label: string
}

const verbs = [
  'put',
  'list',
  'get',
  'range',
  'head',
  'multipart',
  'metadata',
  'odd names',
  'delete',
  'delete many',
] as const
type Verb = (typeof verbs)[number]
/** Throws when the verb does not do what it should; `null`: the client has no such verb. */
type Client = { name: string; run: Record<Verb, (() => Promise<void>) | null> }
export type ClientReport = {
  label: string
  client: string
  verb: Verb
  outcome: 'ok' | 'failed' | 'no such verb'
  detail: string
}

const oddNames = ['with space', 'ünï/cødé 日本 🚢', 'a+b', '100% sure', 'q?=&#;', "quote's (1)", 'percent%20encoded']
const multipartBytes = 12 * 1024 * 1024 + 3

/** One row a client and verb. */
export async function checkClients(target: ClientTarget): Promise<ClientReport[]> {
  const home = mkdtempSync(join(tmpdir(), 'sealift-clients-'))
  const reports: ClientReport[] = []
  try {
    for (const client of [awsCli(target, home), s3cmd(target, home), rclone(target, home), sdk(target)]) {
      for (const verb of verbs) {
        const run = client.run[verb]
        const row = { label: target.label, client: client.name, verb }
        if (!run) {
          reports.push({ ...row, outcome: 'no such verb', detail: '' })
          continue
        }
        try {
          await run()
          reports.push({ ...row, outcome: 'ok', detail: '' })
        } catch (error) {
          reports.push({ ...row, outcome: 'failed', detail: error instanceof Error ? error.message : String(error) })
        }
      }
    }
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
  return reports
}

/** A command with its own home: no configuration of the user's is read, and no secret stands in an argument. */
function command(program: string, home: string, environment: Record<string, string>) {
  const env = { PATH: '/usr/bin:/bin:/usr/local/bin', HOME: home, LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8', ...environment }
  return async (...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(program, args, { env, maxBuffer: 16 * 1024 * 1024, timeout: 120_000 })
    return stdout
  }
}

/** Debian's own before any other installation. */
function programPath(name: string): string {
  return existsSync(`/usr/bin/${name}`) ? `/usr/bin/${name}` : name
}

type Files = {
  path(name: string): string
  make(name: string, size: number): { path: string; bytes: Buffer }
  same(path: string, bytes: Buffer): void
}

function files(home: string, client: string): Files {
  const directory = join(home, client)
  mkdirSync(directory, { recursive: true })
  const path = (name: string) => join(directory, name)
  return {
    path,
    make(name, size) {
      const bytes = randomBytes(size)
      writeFileSync(path(name), bytes)
      return { path: path(name), bytes }
    },
    same(found, bytes) {
      const read = readFileSync(found)
      if (!read.equals(bytes)) throw new Error(`${read.length} bytes came back that are not the ${bytes.length} stored`)
    },
  }
}

function awsCli(target: ClientTarget, home: string): Client {
  const run = command(programPath('aws'), home, {
    AWS_ACCESS_KEY_ID: target.accessKey,
    AWS_SECRET_ACCESS_KEY: target.secretKey,
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_PAGER: '',
  })
  const s3 = (...args: string[]) => run('--endpoint-url', target.endpoint, 's3', ...args)
  const api = (...args: string[]) => run('--endpoint-url', target.endpoint, 's3api', ...args)
  const at = ['--bucket', target.bucket]
  const url = (key: string) => `s3://${target.bucket}/${key}`
  const file = files(home, 'aws')
  const one = file.make('one', 100_001)
  return {
    name: 'aws',
    run: {
      put: async () => void (await s3('cp', one.path, url('aws/one'))),
      list: async () => includes(await s3('ls', url('aws/')), 'one'),
      async get() {
        await s3('cp', url('aws/one'), file.path('back'))
        file.same(file.path('back'), one.bytes)
      },
      async range() {
        await api('get-object', ...at, '--key', 'aws/one', '--range', 'bytes=10-99', file.path('range'))
        file.same(file.path('range'), one.bytes.subarray(10, 100))
      },
      head: async () => includes(await api('head-object', ...at, '--key', 'aws/one'), '100001'),
      async multipart() {
        const big = file.make('big', multipartBytes)
        await s3('cp', big.path, url('aws/big'))
        includes(await api('head-object', ...at, '--key', 'aws/big'), '-2')
        await s3('cp', url('aws/big'), file.path('big-back'))
        file.same(file.path('big-back'), big.bytes)
      },
      async metadata() {
        await s3(
          'cp',
          one.path,
          url('aws/meta'),
          '--metadata',
          'colour=blue',
          '--content-type',
          'text/x-odd',
          '--cache-control',
          'no-store',
        )
        const head = await api('head-object', ...at, '--key', 'aws/meta')
        for (const wanted of ['"colour": "blue"', 'text/x-odd', 'no-store']) includes(head, wanted)
      },
      async 'odd names'() {
        for (const name of oddNames) {
          await s3('cp', one.path, url(`aws/odd/${name}`))
          await s3('cp', url(`aws/odd/${name}`), file.path('odd'))
          file.same(file.path('odd'), one.bytes)
        }
        const list = await s3('ls', '--recursive', url('aws/odd/'))
        for (const name of oddNames) includes(list, name)
      },
      async delete() {
        await s3('rm', url('aws/one'))
        excludes(await s3('ls', url('aws/')), ' one\n')
      },
      async 'delete many'() {
        const names = ['aws/odd/with space', 'aws/odd/a+b']
        const request = JSON.stringify({ Objects: names.map(Key => ({ Key })) })
        await api('delete-objects', ...at, '--delete', request)
        await s3('rm', '--recursive', url('aws/'))
        equals((await s3('ls', '--recursive', url(''))).trim(), '')
      },
    },
  }
}

function s3cmd(target: ClientTarget, home: string): Client {
  const { host, protocol } = new URL(target.endpoint)
  const config = join(home, '.s3cfg')
  const lines = [
    '[default]',
    `access_key = ${target.accessKey}`,
    `secret_key = ${target.secretKey}`,
    `host_base = ${host}`,
    `host_bucket = ${host}`,
    `use_https = ${protocol === 'https:' ? 'True' : 'False'}`,
    'check_ssl_certificate = False',
    'signature_v2 = False',
    'multipart_chunk_size_mb = 5',
  ]
  writeFileSync(config, `${lines.join('\n')}\n`, { mode: 0o600 })
  const run = command(programPath('s3cmd'), home, {})
  const call = (...args: string[]) => run('--config', config, '--no-progress', ...args)
  const url = (key: string) => `s3://${target.bucket}/${key}`
  const file = files(home, 's3cmd')
  const one = file.make('one', 100_002)
  return {
    name: 's3cmd',
    run: {
      put: async () => void (await call('put', one.path, url('s3cmd/one'))),
      list: async () => includes(await call('ls', url('s3cmd/')), url('s3cmd/one')),
      async get() {
        await call('get', '--force', url('s3cmd/one'), file.path('back'))
        file.same(file.path('back'), one.bytes)
      },
      async range() {
        // the client's only range: going on with a file of which a part is there
        writeFileSync(file.path('part'), one.bytes.subarray(0, 40_000))
        await call('get', '--continue', url('s3cmd/one'), file.path('part'))
        file.same(file.path('part'), one.bytes)
      },
      head: async () => includes(await call('info', url('s3cmd/one')), '100002'),
      async multipart() {
        const big = file.make('big', multipartBytes)
        await call('put', big.path, url('s3cmd/big'))
        // the client shows an MD5 of its own; only the ETag tells that it sent parts
        includes(await etagOf(target, 's3cmd/big'), '-3')
        await call('get', '--force', url('s3cmd/big'), file.path('big-back'))
        file.same(file.path('big-back'), big.bytes)
      },
      async metadata() {
        await call('put', '--add-header=x-amz-meta-colour:blue', '--mime-type=text/x-odd', one.path, url('s3cmd/meta'))
        const info = await call('info', url('s3cmd/meta'))
        for (const wanted of ['x-amz-meta-colour: blue', 'text/x-odd']) includes(info, wanted)
      },
      async 'odd names'() {
        for (const name of oddNames) {
          await call('put', one.path, url(`s3cmd/odd/${name}`))
          await call('get', '--force', url(`s3cmd/odd/${name}`), file.path('odd'))
          file.same(file.path('odd'), one.bytes)
        }
        const list = await call('ls', '--recursive', url('s3cmd/odd/'))
        for (const name of oddNames) includes(list, url(`s3cmd/odd/${name}`))
      },
      async delete() {
        await call('del', url('s3cmd/one'))
        excludes(await call('ls', url('s3cmd/')), url('s3cmd/one'))
      },
      async 'delete many'() {
        await call('del', '--recursive', '--force', url('s3cmd/'))
        equals((await call('ls', '--recursive', url('s3cmd/'))).trim(), '')
      },
    },
  }
}

function rclone(target: ClientTarget, home: string): Client {
  const run = command(programPath('rclone'), home, {
    RCLONE_CONFIG: join(home, 'rclone.conf'),
    RCLONE_CONFIG_SEA_TYPE: 's3',
    RCLONE_CONFIG_SEA_PROVIDER: 'Other',
    RCLONE_CONFIG_SEA_ENDPOINT: target.endpoint,
    RCLONE_CONFIG_SEA_ACCESS_KEY_ID: target.accessKey,
    RCLONE_CONFIG_SEA_SECRET_ACCESS_KEY: target.secretKey,
    RCLONE_CONFIG_SEA_FORCE_PATH_STYLE: 'true',
    RCLONE_CONFIG_SEA_UPLOAD_CUTOFF: '6M',
    RCLONE_CONFIG_SEA_CHUNK_SIZE: '5M',
    RCLONE_NO_CHECK_CERTIFICATE: 'true',
    RCLONE_RETRIES: '1',
    RCLONE_LOW_LEVEL_RETRIES: '1',
    RCLONE_S3_NO_CHECK_BUCKET: 'true',
  })
  const url = (key: string) => `sea:${target.bucket}/${key}`
  const file = files(home, 'rclone')
  const one = file.make('one', 100_003)
  return {
    name: 'rclone',
    run: {
      put: async () => void (await run('copyto', one.path, url('rclone/one'))),
      list: async () => equals((await run('lsf', url('rclone/'))).trim(), 'one'),
      async get() {
        await run('copyto', url('rclone/one'), file.path('back'))
        file.same(file.path('back'), one.bytes)
      },
      async range() {
        writeFileSync(file.path('text'), `xxxxxxxxxx${'y'.repeat(90)}z`)
        await run('copyto', file.path('text'), url('rclone/text'))
        equals(await run('cat', '--offset', '10', '--count', '90', url('rclone/text')), 'y'.repeat(90))
      },
      async head() {
        includes(
          await run('lsjson', '--stat', '--hash', url('rclone/one')),
          createHash('md5').update(one.bytes).digest('hex'),
        )
      },
      async multipart() {
        const big = file.make('big', multipartBytes)
        await run('copyto', big.path, url('rclone/big'))
        includes(await etagOf(target, 'rclone/big'), '-3')
        await run('copyto', url('rclone/big'), file.path('big-back'))
        file.same(file.path('big-back'), big.bytes)
        await run('check', '--download', file.path(''), url('rclone/'), '--include', 'big')
      },
      async metadata() {
        await run(
          'copyto',
          '--header-upload',
          'x-amz-meta-colour: blue',
          '--header-upload',
          'Content-Type: text/x-odd',
          one.path,
          url('rclone/meta'),
        )
        const stat = await run('lsjson', '--stat', '--metadata', url('rclone/meta'))
        for (const wanted of ['"colour":"blue"', 'text/x-odd']) includes(stat.replaceAll(': ', ':'), wanted)
      },
      async 'odd names'() {
        for (const name of oddNames) {
          await run('copyto', one.path, url(`rclone/odd/${name}`))
          await run('copyto', url(`rclone/odd/${name}`), file.path('odd'))
          file.same(file.path('odd'), one.bytes)
        }
        const list = (await run('lsf', '--recursive', '--files-only', url('rclone/odd/'))).trim().split('\n')
        for (const name of oddNames) if (!list.includes(name)) throw new Error(`${name} is not in the listing`)
      },
      async delete() {
        await run('deletefile', url('rclone/one'))
        excludes(await run('lsf', url('rclone/')), 'one\n')
      },
      async 'delete many'() {
        await run('delete', url('rclone/'))
        equals((await run('lsf', '--recursive', '--files-only', url(''))).trim(), '')
      },
    },
  }
}

function sdkClient(target: ClientTarget): s3.S3Client {
  return new s3.S3Client({
    endpoint: target.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: target.accessKey, secretAccessKey: target.secretKey },
  })
}

async function etagOf(target: ClientTarget, key: string): Promise<string> {
  const client = sdkClient(target)
  try {
    return (await client.send(new s3.HeadObjectCommand({ Bucket: target.bucket, Key: key }))).ETag ?? ''
  } finally {
    client.destroy()
  }
}

function sdk(target: ClientTarget): Client {
  const client = sdkClient(target)
  const at = (key: string) => ({ Bucket: target.bucket, Key: `sdk/${key}` })
  const one = randomBytes(100_004)
  const get = async (key: string, Range?: string) => {
    const { Body } = await client.send(new s3.GetObjectCommand({ ...at(key), ...(Range && { Range }) }))
    return Buffer.from((await Body?.transformToByteArray()) ?? [])
  }
  const keys = async () =>
    (await client.send(new s3.ListObjectsV2Command({ Bucket: target.bucket, Prefix: 'sdk/' }))).Contents?.map(
      item => item.Key ?? '',
    ) ?? []
  const same = (found: Buffer, wanted: Buffer) => {
    if (!found.equals(wanted)) throw new Error('other bytes came back')
  }
  return {
    name: 'AWS SDK v3',
    run: {
      put: async () => void (await client.send(new s3.PutObjectCommand({ ...at('one'), Body: one }))),
      list: async () => equals((await keys()).join(), 'sdk/one'),
      get: async () => same(await get('one'), one),
      range: async () => same(await get('one', 'bytes=10-99'), one.subarray(10, 100)),
      head: async () =>
        equals(String((await client.send(new s3.HeadObjectCommand(at('one')))).ContentLength), '100004'),
      async multipart() {
        const big = randomBytes(multipartBytes)
        const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand(at('big')))
        const half = 6 * 1024 * 1024
        const Parts: s3.CompletedPart[] = []
        for (const [index, Body] of [big.subarray(0, half), big.subarray(half)].entries()) {
          const PartNumber = index + 1
          const { ETag } = await client.send(new s3.UploadPartCommand({ ...at('big'), UploadId, PartNumber, Body }))
          Parts.push({ PartNumber, ETag })
        }
        await client.send(new s3.CompleteMultipartUploadCommand({ ...at('big'), UploadId, MultipartUpload: { Parts } }))
        same(await get('big'), big)
      },
      async metadata() {
        await client.send(
          new s3.PutObjectCommand({
            ...at('meta'),
            Body: one,
            Metadata: { colour: 'blue' },
            ContentType: 'text/x-odd',
          }),
        )
        const head = await client.send(new s3.HeadObjectCommand(at('meta')))
        equals(`${head.Metadata?.colour} ${head.ContentType}`, 'blue text/x-odd')
      },
      async 'odd names'() {
        for (const name of oddNames) {
          await client.send(new s3.PutObjectCommand({ ...at(name), Body: one }))
          same(await get(name), one)
        }
        const found = await keys()
        for (const name of oddNames)
          if (!found.includes(`sdk/${name}`)) throw new Error(`${name} is not in the listing`)
      },
      async delete() {
        await client.send(new s3.DeleteObjectCommand(at('one')))
        if ((await keys()).includes('sdk/one')) throw new Error('still listed')
      },
      async 'delete many'() {
        const Objects = (await keys()).map(Key => ({ Key }))
        await client.send(new s3.DeleteObjectsCommand({ Bucket: target.bucket, Delete: { Objects } }))
        equals((await keys()).join(), '')
        client.destroy()
      },
    },
  }
}

function includes(text: string, wanted: string): void {
  if (!text.includes(wanted))
    throw new Error(`${JSON.stringify(wanted)} is not in ${JSON.stringify(text.slice(0, 500))}`)
}
function excludes(text: string, unwanted: string): void {
  if (text.includes(unwanted))
    throw new Error(`${JSON.stringify(unwanted)} is still in ${JSON.stringify(text.slice(0, 500))}`)
}
function equals(found: string, wanted: string): void {
  if (found !== wanted) throw new Error(`want ${JSON.stringify(wanted)}, got ${JSON.stringify(found.slice(0, 500))}`)
}

/** Clients by rows, verbs by columns. */
export function clientTable(reports: readonly ClientReport[]): string {
  const names = [...new Set(reports.map(report => `${report.label}: ${report.client}`))]
  const width = Math.max(...names.map(name => name.length))
  const marks = { ok: 'ok', failed: 'FAILED', 'no such verb': '-' }
  const rows = names.map(name => {
    const cells = verbs.map(verb => {
      const report = reports.find(item => `${item.label}: ${item.client}` === name && item.verb === verb)
      return (report ? marks[report.outcome] : '').padEnd(Math.max(verb.length, 6))
    })
    return [name.padEnd(width), ...cells].join('  ')
  })
  return [[' '.repeat(width), ...verbs.map(verb => verb.padEnd(6))].join('  '), ...rows].join('\n')
}

const packages = { aws: 'awscli', s3cmd: 's3cmd', rclone: 'rclone' }

/** Installs what is missing when it may; otherwise says the line to type and ends with 69. */
function requireClients(): void {
  const missing = Object.entries(packages).filter(([program]) => spawnSync(programPath(program), ['--version']).error)
  if (missing.length === 0) return
  const line = `apt-get install --no-install-recommends -y ${missing.map(([, name]) => name).join(' ')}`
  if (process.getuid?.() === 0) {
    const [program = '', ...args] = line.split(' ')
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    if (spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'], env: environment }).status === 0) return
  }
  process.stderr.write(`clients are missing; install them:\n  ${line}\n`)
  process.exit(69)
}

/** A real device, its agent a process of its own, its job readable. */
async function checkDevice(): Promise<ClientReport[]> {
  const device = await prepareDevice({ mode: 'readable', buckets: ['checked'] })
  try {
    const agent = await startAgent(device)
    const { accessKey, secretKey } = JSON.parse((await sealift(device, ['--json', 'credentials'])).stdout)
    try {
      return await checkClients({ endpoint: agent.url, accessKey, secretKey, bucket: 'checked', label: 'device' })
    } finally {
      await agent.stop()
    }
  } finally {
    await device.remove()
  }
}

async function main(): Promise<void> {
  requireClients()
  const reports = [...(await checkDevice())]
  console.log(clientTable(reports))
  const failed = reports.filter(report => report.outcome === 'failed')
  for (const { label, client, verb, detail } of failed) console.log(`\n${label}: ${client}: ${verb}\n${detail}`)
  process.exitCode = failed.length > 0 ? 1 : 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()

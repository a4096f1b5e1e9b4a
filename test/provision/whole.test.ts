// timeout: 300s, test 180s
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Credentials, presignQuery } from '../../access/sign.ts'
import { ask, run, type Service, serve } from '../quickstart/commands.ts'
import { type Answer, type S3Client, s3Client } from '../s3-client.ts'

const test = suite('the whole way, with real processes and a token on each side')
const root = mkdtempSync(join(tmpdir(), 'sealift-whole-'))
const state = join(root, 'provider')
const device = join(root, 'device')
const drive = join(root, 'drive')
const code = join(root, 'unlock-code')
const PART_BYTES = 5 << 20
/** differs at every place, so that a piece from a wrong place is noticed */
const film = Buffer.alloc(2 * PART_BYTES + 1234)
for (let at = 0; at + 4 <= film.length; at += 4) film.writeUInt32LE(Math.imul(at, 2_654_435_761) >>> 0, at)
const files = new Map([
  ['a.txt', 'the first file'],
  ['sub/b ü.txt', 'the second file'],
  ['sub/empty', ''],
])

type Ready = { keystore: { processId: number }; roles: { name: string; address: string }[] }
type Report = {
  outcome: string
  counts: { stored: number; held: number }
  findings: { code: string; message: string }[]
  receipts: string
}
let service: Service<Ready> | null = null
let owner: Credentials
let stranger: Credentials
let sealCode = ''

const provider = <T>(...args: string[]): Promise<T> => ask<T>('sealift-provider', ['--state', state, ...args])
const onDevice = <T>(...args: string[]): Promise<T> => ask<T>('sealift', ['--state', device, '--drive', drive, ...args])

async function startService(): Promise<void> {
  service = await serve<Ready>('sealift-provider', ['--state', state, 'serve', '--listen', '127.0.0.1:0'])
}
function hosted(): string {
  const role = service?.ready.roles.find(each => each.name === 'hosted')
  assert.ok(role)
  return role.address
}

async function credentials(account: string): Promise<Credentials> {
  await provider('account', 'create', account)
  const made = await provider<{ accessKey: string; secret: string }>('access-key', 'create', account)
  return { accessKey: made.accessKey, secretKey: made.secret }
}

function orderJob(account: string): Promise<{ job: string }> {
  const kind = ['--mode', 'write-only', '--acl', 'private']
  return provider('job', 'create', '--account', account, '--bucket', 'lift', ...kind)
}

async function client<T>(who: Credentials, work: (client: S3Client) => Promise<T>, url = hosted()): Promise<T> {
  const opened = s3Client(url, who)
  try {
    return await work(opened)
  } finally {
    opened.close()
  }
}

const codeOf = ({ status, body }: Answer): string =>
  `${status} ${/<Code>([^<]*)</.exec(body.toString('utf8'))?.[1] ?? ''}`.trim()

function good(answer: Answer): Answer {
  assert.ok(answer.status >= 200 && answer.status < 300, `${answer.status} ${answer.body.toString('utf8', 0, 500)}`)
  return answer
}

/** Two parts of 5 MiB and a rest, through an S3 endpoint. */
async function putInParts(s3: S3Client, path: string): Promise<void> {
  const begun = good(await s3.send('POST', path, { query: 'uploads=' }))
  const upload = /<UploadId>([^<]*)</.exec(begun.body.toString('utf8'))?.[1] ?? ''
  const listed: string[] = []
  for (let number = 1, at = 0; at < film.length; number++, at += PART_BYTES) {
    const body = film.subarray(at, at + PART_BYTES)
    const { headers } = good(await s3.send('PUT', path, { body, query: `partNumber=${number}&uploadId=${upload}` }))
    listed.push(`<Part><PartNumber>${number}</PartNumber><ETag>${headers.etag}</ETag></Part>`)
  }
  const body = Buffer.from(`<CompleteMultipartUpload>${listed.join('')}</CompleteMultipartUpload>`)
  const done = good(await s3.send('POST', path, { body, query: `uploadId=${upload}` }))
  assert.match(done.body.toString('utf8'), /<ETag>[^<]*-3[^<]*<\/ETag>/)
}

async function everythingReads(): Promise<void> {
  await client(owner, async s3 => {
    for (const [name, text] of files) assert.is(good(await s3.get('lift', name)).body.toString('utf8'), text, name)
    assert.ok(film.equals(good(await s3.get('lift', 'film')).body))
  })
}

/** Asks again while the keys are away. @returns the first other answer, and what came before it */
async function patiently(work: () => Promise<Answer>, milliseconds: number): Promise<{ answer: Answer; busy: number }> {
  const end = performance.now() + milliseconds
  for (let busy = 0; ; busy++) {
    const answer = await work()
    if (answer.status !== 503 || performance.now() > end) return { answer, busy }
    await delay(100)
  }
}

test.before(async () => {
  await provider('init')
  await startService()
  owner = await credentials('owner')
  stranger = await credentials('stranger')
  const { job } = await orderJob('owner')
  const to = ['--device-state', device, '--drive', drive, '--code-file', code]
  await provider('device', 'prepare', '--job', job, ...to)
  const source = join(root, 'source')
  for (const [name, text] of files) {
    mkdirSync(join(source, name, '..'), { recursive: true })
    writeFileSync(join(source, name), text)
  }
  const given = ['--code-fd', '3', '--state', device, '--drive', drive, 'serve', '--listen', '127.0.0.1:0']
  const agent = await serve<{ s3: string }>('sealift', given, { secret: readFileSync(code, 'utf8').trim() })
  try {
    await onDevice('copy', source, 's3://lift')
    const own = await onDevice<Credentials>('credentials')
    await client(own, s3 => putInParts(s3, '/lift/film'), agent.ready.s3)
    const sealed = await onDevice<{ code: string; objects: number }>('seal')
    assert.is(sealed.objects, files.size + 1)
    sealCode = sealed.code
  } finally {
    assert.is(await agent.stop(), 0)
  }
})
test.after(async () => {
  await service?.stop()
  rmSync(root, { recursive: true, force: true })
})

test('a drive that says it is of another account’s job is refused by name, and nothing of it goes in', async () => {
  const other = await orderJob('stranger')
  const forged = join(root, 'forged')
  cpSync(drive, forged, { recursive: true })
  const volume = JSON.parse(readFileSync(join(forged, 'volume.json'), 'utf8'))
  writeFileSync(join(forged, 'volume.json'), JSON.stringify({ ...volume, job: other.job }))
  const intake = (...drives: string[]) =>
    run('sealift-provider', ['--state', state, '--json', 'intake', ...drives, '--seal-code', sealCode])
  const ordered = await intake(forged)
  assert.not.equal(ordered.code, 0)
  assert.match(ordered.stderr, `job ${other.job}, of which the drive says it is: job is ordered`)
  // the other account's job has a device and a drive of its own by now
  const theirs = { state: join(root, 'their-device'), drive: join(root, 'their-drive') }
  const to = ['--device-state', theirs.state, '--drive', theirs.drive, '--code-file', join(root, 'their-code')]
  await provider('device', 'prepare', '--job', other.job, ...to)
  const reportOf = (stdout: string) => JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Report
  const prepared = await intake(forged)
  assert.is(prepared.code, 65)
  assert.match(prepared.stderr, `device ${volume.device}, which is none of job ${other.job}`)
  const empty = await intake(theirs.drive)
  assert.is(reportOf(empty.stdout).outcome, 'held', 'never sealed')
  for (const who of [owner, stranger])
    await client(who, async s3 => assert.match(codeOf(await s3.get('lift', 'a.txt')), /^40[34] /))
  const among = await intake('--check', drive, theirs.drive)
  assert.is(among.code, 65)
  assert.equal(
    reportOf(among.stdout).findings.map(each => each.code),
    ['drive-of-another'],
  )
})

test('what was sealed is taken in whole', async () => {
  const report = await provider<Report>('intake', drive, '--seal-code', sealCode)
  assert.equal(report.findings, [])
  assert.is(report.outcome, 'complete')
  assert.is(report.counts.stored, files.size + 1)
  const ca = join(root, 'provider-ca.pem')
  await provider('certificate', '--output', ca)
  const shown = await run('sealift-provider', ['--state', state, 'certificate'])
  assert.is(shown.stdout, readFileSync(ca, 'utf8'))
  const checked = await run('sealift-verify', ['receipts', report.receipts, '--ca', ca])
  assert.is(checked.code, 0, checked.stderr + checked.stdout)
  const drivesOwn = await run('sealift-verify', ['manifest', drive, '--ca', ca, '--seal-code', sealCode])
  assert.is(drivesOwn.code, 0, drivesOwn.stderr + drivesOwn.stdout)
})

test('the owner reads it back, a composite across its seams too', async () => {
  await everythingReads()
  await client(owner, async s3 => {
    for (const [first, last] of [
      [0, 0],
      [PART_BYTES - 3, PART_BYTES + 2],
      [PART_BYTES, PART_BYTES],
      [PART_BYTES - 1, 2 * PART_BYTES],
      [film.length - 1, film.length - 1],
    ] as const) {
      const answer = await s3.get('lift', 'film', { range: `bytes=${first}-${last}` })
      assert.is(answer.status, 206)
      assert.is(answer.headers['content-range'], `bytes ${first}-${last}/${film.length}`)
      assert.ok(film.subarray(first, last + 1).equals(answer.body), `${first}-${last}`)
    }
    const { size, digest } = await s3.digest('lift', 'film')
    assert.equal({ size, digest }, { size: film.length, digest: createHash('sha256').update(film).digest('hex') })
    assert.equal((await s3.keys('lift')).sort(), [...files.keys(), 'film'].sort())
  })
})

test('a stranger and nobody are refused', async () => {
  for (const key of ['a.txt', 'film', 'not there']) {
    await client(stranger, async s3 => assert.is(codeOf(await s3.get('lift', key)), '403 AccessDenied'))
    const path = `/lift/${encodeURIComponent(key)}`
    await client(owner, async s3 =>
      assert.is(codeOf(await s3.send('GET', path, { anonymous: true })), '403 AccessDenied'),
    )
  }
})

test('a presigned address reads for its time', async () => {
  const head = { method: 'GET', rawPath: '/lift/film', rawQuery: '' }
  const link = (secondsAgo: number): string =>
    presignQuery({ ...head, headers: [['host', new URL(hosted()).host]] }, owner, {
      region: 'us-east-1',
      time: new Date(Date.now() - secondsAgo * 1000),
      expiresSeconds: 60,
    })
  await client(owner, async s3 => {
    const read = good(await s3.send('GET', '/lift/film', { query: link(1), anonymous: true }))
    assert.ok(film.equals(read.body))
    const late = await s3.send('GET', '/lift/film', { query: link(61), anonymous: true })
    assert.is(codeOf(late), '403 AccessDenied')
    assert.match(late.body.toString('utf8'), /Request has expired/)
  })
})

test('a server-side copy reads as its source, and outlives it', async () => {
  await client(owner, async s3 => {
    for (const key of ['a.txt', 'film'])
      good(await s3.put('lift', `copy of ${key}`, '', { 'x-amz-copy-source': `/lift/${key}` }))
    good(await s3.send('DELETE', '/lift/film'))
    assert.is(codeOf(await s3.get('lift', 'film')), '404 NoSuchKey')
    assert.ok(film.equals(good(await s3.get('lift', 'copy of film')).body))
    assert.is(good(await s3.get('lift', 'copy of a.txt')).body.toString('utf8'), 'the first file')
    good(await s3.put('lift', 'film', '', { 'x-amz-copy-source': '/lift/copy%20of%20film' }))
    for (const key of ['a.txt', 'film']) good(await s3.send('DELETE', `/lift/${encodeURIComponent(`copy of ${key}`)}`))
    assert.equal((await s3.keys('lift')).sort(), [...files.keys(), 'film'].sort())
  })
  await everythingReads()
})

test('a keystore that is killed between two reads is back for the ones after, whoever reads the log', async () => {
  service?.process.stdout?.destroy()
  service?.process.stderr?.destroy()
  await client(owner, async s3 => {
    good(await s3.get('lift', 'a.txt'))
    const { processId } = await provider<{ processId: number }>('status')
    process.kill(processId, 'SIGKILL')
    const { answer } = await patiently(() => s3.get('lift', 'a.txt'), 5000)
    assert.is(good(answer).body.toString('utf8'), 'the first file')
    assert.not.equal((await provider<{ processId: number }>('status')).processId, processId)
  })
  await everythingReads()
})

test('a provider that is killed finds everything again when it is started', async () => {
  const killed = service
  assert.ok(killed)
  await client(owner, async s3 => good(await s3.put('lift', 'direct', 'put over the network')))
  killed.process.kill('SIGKILL')
  await killed.stop()
  await startService()
  await everythingReads()
  await client(owner, async s3 => {
    assert.is(good(await s3.get('lift', 'direct')).body.toString('utf8'), 'put over the network')
  })
  const again = await provider<Report>('intake', drive, '--seal-code', sealCode)
  assert.is(again.outcome, 'complete')
  assert.ok((await run('sealift-provider', ['--state', state, 'audit', 'verify'])).code === 0)
})

test.run()

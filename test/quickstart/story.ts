import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { presignQuery } from '../../access/sign.ts'
import { s3Client } from '../s3-client.ts'
import { ask, run, type Service, serve } from './commands.ts'
import { bytesInWords, many, type Screen } from './screen.ts'
import { digestOfFile, readSource, type Source } from './source.ts'
import { copyDrive, TAMPERINGS } from './tamper.ts'

export type Result = {
  files: number
  bytes: number
  sealed: number
  takenIn: number
  readBack: number
  refusedReads: number
  tampering: { tried: number; noticed: number }
  tokenOperations: number
  seconds: number
  /** beyond what was asked for: links, and what went wrong by name */
  links: number
  skipped: number
  misses: string[]
}

export type Place = { root: string; state: string; device: string; drive: string; code: string }
type Credentials = { accessKey: string; secretKey: string }
type ProviderReady = { roles: { name: string; address: string }[] }

const BUCKET = 'lift'
const SIDE_BY_SIDE = 16

export function newPlace(): Place {
  const root = mkdtempSync(join(tmpdir(), 'sealift-quickstart-'))
  return {
    root,
    state: join(root, 'provider'),
    device: join(root, 'device'),
    drive: join(root, 'drive'),
    code: join(root, 'unlock-code'),
  }
}

const provider = (place: Place, ...args: string[]): string[] => ['--state', place.state, ...args]
const device = (place: Place, ...args: string[]): string[] => ['--state', place.device, '--drive', place.drive, ...args]

/** The whole story, with real processes. @returns what was done; `misses` is empty when all of it held */
export async function tell(
  directory: string,
  place: Place,
  screen: Screen,
  keep: (hosted: string, credentials: Credentials) => Promise<void>,
): Promise<Result> {
  const started = performance.now()
  const misses: string[] = []
  const source = await readSource(directory, '')
  if (source.files.length === 0) throw new Error(`${directory} holds no file: give a directory with something in it`)
  screen.step('The provider makes its authority: a token, keys, certificates')
  const made = await ask<{ tokenOperations: number }>('sealift-provider', provider(place, 'init'))
  const service = await serve<ProviderReady>('sealift-provider', provider(place, 'serve', '--listen', '127.0.0.1:0'))
  try {
    const hosted = service.ready.roles.find(role => role.name === 'hosted')?.address ?? ''
    screen.detail(`hosted store at ${hosted}`)
    const { job, owner, stranger } = await order(place, screen)

    screen.step('The customer copies a directory onto the drive; everything is sealed on the way')
    const { copied, sealed, deviceOperations } = await fill(directory, place, screen, misses)
    if (copied.files !== source.files.length) misses.push(`${copied.files} of ${source.files.length} files were copied`)

    screen.step(`The drive travels; ${TAMPERINGS.length} copies of it meet somebody`)
    const tampering = await tamper(place, sealed.code, screen, misses)

    screen.step('The provider takes the drive in')
    const report = await ask<{ outcome: string; counts: { stored: number; held: number } }>(
      'sealift-provider',
      provider(place, 'intake', place.drive, '--seal-code', sealed.code),
    )
    screen.detail(`${many(report.counts.stored)} objects stored, ${report.counts.held} held: ${report.outcome}`)
    if (report.outcome !== 'complete' || report.counts.stored !== sealed.objects)
      misses.push(`intake: ${report.outcome}, ${report.counts.stored} of ${sealed.objects} objects`)
    const verified = await run('sealift-verify', ['manifest', place.drive, '--seal-code', sealed.code])
    if (verified.code !== 0) misses.push(`sealift-verify: exit ${verified.code}: ${verified.stderr}`)
    else screen.detail('sealift-verify finds the manifest sound')

    screen.step('The owner reads every file back over HTTP')
    const readBack = await readAllBack(hosted, owner, source, screen, misses)

    screen.step('Others do not')
    const refusedReads = await refusals(hosted, owner, stranger, place, source, screen, misses)
    const status = await ask<{ tokenOperations: number }>('sealift-provider', provider(place, 'status'))
    const result: Result = {
      files: source.files.length,
      bytes: source.bytes,
      sealed: sealed.objects,
      takenIn: report.counts.stored,
      readBack,
      refusedReads,
      tampering,
      tokenOperations: made.tokenOperations + status.tokenOperations + deviceOperations,
      seconds: (performance.now() - started) / 1000,
      links: copied.links,
      skipped: copied.skipped,
      misses,
    }
    judge(result)
    screen.detail(`job ${job}`)
    await keep(hosted, owner)
    return result
  } finally {
    await service.stop()
  }
}

async function order(place: Place, screen: Screen) {
  screen.step('An account, an access key, a job, and a device prepared for it')
  const credentials = async (account: string): Promise<Credentials> => {
    await ask('sealift-provider', provider(place, 'account', 'create', account))
    const { accessKey, secret } = await ask<{ accessKey: string; secret: string }>(
      'sealift-provider',
      provider(place, 'access-key', 'create', account),
    )
    return { accessKey, secretKey: secret }
  }
  const owner = await credentials('owner')
  const stranger = await credentials('stranger')
  const { job } = await ask<{ job: string }>(
    'sealift-provider',
    provider(place, 'job', 'create', '--account', 'owner', '--bucket', BUCKET),
  )
  await ask(
    'sealift-provider',
    provider(
      place,
      'device',
      'prepare',
      '--job',
      job,
      '--device-state',
      place.device,
      '--drive',
      place.drive,
      '--code-file',
      place.code,
      '--return-address',
      'Dock 1',
    ),
  )
  screen.detail(`job ${job}, write-only; the unlock code goes by another road`)
  return { job, owner, stranger }
}

type Copied = { files: number; links: number; skipped: number; failed: number; bytes: number; elapsedSeconds: number }

async function fill(directory: string, place: Place, screen: Screen, misses: string[]) {
  const agent: Service<{ s3: string }> = await serve(
    'sealift',
    ['--code-fd', '3', ...device(place, 'serve', '--listen', '127.0.0.1:0')],
    { secret: readFileSync(place.code, 'utf8').trim() },
  )
  try {
    const copied = await ask<Copied>('sealift', device(place, 'copy', directory, `s3://${BUCKET}`), {
      onStderr: text => {
        for (const line of text.split('\n')) if (line.trim() !== '') screen.detail(line)
      },
    })
    if (copied.failed > 0) misses.push(`${copied.failed} files could not be copied`)
    screen.detail(
      `${many(copied.files)} files and ${copied.links} links, ${bytesInWords(copied.bytes)}, ${many(Math.round(copied.files / copied.elapsedSeconds))} files/s`,
    )
    const sealed = await ask<{ code: string; objects: number }>('sealift', device(place, 'seal'))
    screen.detail(`sealed: ${many(sealed.objects)} objects, seal code ${sealed.code}`)
    const status = await ask<{ tokenOperations: number }>('sealift', device(place, 'status'))
    return { copied, sealed, deviceOperations: status.tokenOperations }
  } finally {
    await agent.stop()
  }
}

/** Each on a copy of its own, taken to the provider's dock; nothing of it may go in unremarked. */
async function tamper(place: Place, code: string, screen: Screen, misses: string[]): Promise<Result['tampering']> {
  let noticed = 0
  for (const { name, apply } of TAMPERINGS) {
    const copy = join(place.root, 'tampered')
    copyDrive(place.drive, copy)
    await apply(copy)
    const {
      code: exit,
      stdout,
      stderr,
    } = await run('sealift-provider', ['--json', ...provider(place, 'intake', copy, '--check', '--seal-code', code)])
    const finding = findingOf(stdout) ?? stderr.trim()
    if (exit === 65 || exit === 69) noticed++
    else misses.push(`not noticed: ${name} (exit ${exit}) ${finding}`)
    screen.detail(`${name}: ${finding.slice(0, 120)}`)
    rmSync(copy, { recursive: true, force: true })
  }
  return { tried: TAMPERINGS.length, noticed }
}

function findingOf(stdout: string): string | null {
  const line = stdout.trim().split('\n').at(-1) ?? ''
  if (line === '') return null
  const report = JSON.parse(line) as { findings: { code: string; message: string }[] }
  return (
    report.findings
      .map(each => each.code)
      .filter((each, at, all) => all.indexOf(each) === at)
      .join(', ') || null
  )
}

async function readAllBack(
  hosted: string,
  owner: Credentials,
  source: Source,
  screen: Screen,
  misses: string[],
): Promise<number> {
  const client = s3Client(hosted, owner)
  const started = performance.now()
  let good = 0
  let at = 0
  const reader = async (): Promise<void> => {
    for (;;) {
      const file = source.files[at++]
      if (file === undefined) return
      const { status, digest, size } = await client.digest(BUCKET, file.key)
      if (status === 200 && size === file.size && digest === (await digestOfFile(file.path))) good++
      else misses.push(`read back: ${file.key}: ${status}, ${size} bytes`)
    }
  }
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, reader))
  client.close()
  screen.detail(
    `${many(good)} of ${many(source.files.length)} equal, byte for byte, ${many(Math.round(good / ((performance.now() - started) / 1000)))} files/s`,
  )
  return good
}

async function refusals(
  hosted: string,
  owner: Credentials,
  stranger: Credentials,
  place: Place,
  source: Source,
  screen: Screen,
  misses: string[],
): Promise<number> {
  const file = source.files[0]
  if (file === undefined) {
    misses.push('there is no file to refuse')
    return 0
  }
  const mine = s3Client(hosted, owner)
  const other = s3Client(hosted, stranger)
  const forged = s3Client(hosted, { accessKey: owner.accessKey, secretKey: stranger.secretKey })
  const path = `/${BUCKET}/${file.key.split('/').map(encodeURIComponent).join('/')}`
  const expired = presignQuery(
    { method: 'GET', rawPath: path, rawQuery: '', headers: [['host', new URL(hosted).host]] },
    owner,
    { region: 'us-east-1', time: new Date(Date.now() - 3_600_000), expiresSeconds: 60 },
  )
  let refused = 0
  const expect = (name: string, { status, body }: { status: number; body: Buffer }): void => {
    const code = /<Code>([^<]*)</.exec(body.toString('utf8'))?.[1] ?? ''
    if (status === 403) refused++
    else misses.push(`not refused: ${name}: ${status}`)
    screen.detail(`${name}: ${status} ${code}`)
  }
  expect('without credentials', await mine.send('GET', path, { anonymous: true }))
  expect('another account', await other.get(BUCKET, file.key))
  expect('a forged signature', await forged.get(BUCKET, file.key))
  expect('a presigned address past its time', await mine.send('GET', path, { query: expired, anonymous: true }))
  // the store itself is made to lie: its own table says that everyone may read; the keystore, asked apart, says no
  const database = new Database(join(place.state, 'hosted', 'hosted.sqlite'), { timeout: 5000 })
  database.prepare("UPDATE objects SET acl = 'public-read'").run()
  expect('data allowed by a lying store, key refused', await mine.send('GET', path, { anonymous: true }))
  database.prepare("UPDATE objects SET acl = 'private'").run()
  database.close()
  for (const client of [mine, other, forged]) client.close()
  return refused
}

/** Adds what the numbers themselves say is missing. */
function judge(result: Result): void {
  const { misses } = result
  const allowed = Math.ceil((20 * result.sealed) / 10_000) + 40
  if (result.sealed !== result.takenIn) misses.push(`${result.sealed} sealed, ${result.takenIn} taken in`)
  if (result.sealed < result.files) misses.push(`${result.files} files, ${result.sealed} sealed`)
  if (result.readBack !== result.files) misses.push(`${result.readBack} of ${result.files} files read back`)
  if (result.refusedReads < 3) misses.push(`${result.refusedReads} reads refused`)
  if (result.tampering.tried < 12 || result.tampering.noticed !== result.tampering.tried)
    misses.push(`${result.tampering.noticed} of ${result.tampering.tried} tamperings noticed`)
  if (result.tokenOperations > allowed) misses.push(`${result.tokenOperations} token operations; at most ${allowed}`)
}

import { readdir, readFile, writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { PreparedDevice } from '../../format/administration.ts'
import { type DriveId, type JobId, newId } from '../../format/bytes.ts'
import type { Volume } from '../../format/volume.ts'
import { deviceTokenDirectory, prepareDeviceToken } from '../../hsm/device-token.ts'
import { StoreError } from '../../store/object-store.ts'
import { createDrive } from '../../store/pack/drive.ts'
import { type CommonOptions, type Operator, tell, withAdministration } from '../operator.ts'
import { jobId, wholeNumber } from './values.ts'

type PrepareOptions = CommonOptions & {
  job: JobId
  csr?: string
  deviceState?: string
  drive: string[]
  codeFile?: string
  returnAddress: string
  grantDays: number
}

export function deviceCommands(program: Command, operator: Operator): void {
  const device = program.command('device').description('devices that seal for a job')
  device
    .command('prepare')
    .requiredOption('--job <job>', 'id', jobId)
    .option('--csr <file>', "the device's request, as `sealift identity request` wrote it")
    .option(
      '--device-state <dir>',
      'state directory of a device that is attached here; makes its token when it has none',
    )
    .requiredOption('--drive <dir...>', 'empty directory (a mounted drive) to lay out; repeatable')
    .option('--code-file <file>', 'write the unlock code there, 0600, and do not show it')
    .option('--return-address <text>', 'where the drive is to be sent', '')
    .option('--grant-days <n>', 'life of the grant', wholeNumber, 365)
    .description('certify a device for a job, and write its drives; the unlock code is shown this once')
    .addHelpText(
      'after',
      '\nExample:\n  sealift-provider device prepare --job JOB --csr device.csr --drive /media/drive1 --drive /media/drive2',
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<PrepareOptions>()
      const { job, returnAddress, grantDays, codeFile } = options
      const request = await requestOf(options, command)
      // before the grant: a code for drives that cannot be written would be of no use
      for (const path of options.drive) await requireEmpty(path)
      const asked = { job, request, returnAddress, grantDays }
      const prepared = await withAdministration(operator, options, at => at.prepareDevice(asked))
      const drives: Volume[] = []
      for (const [at, path] of options.drive.entries()) {
        const volume = volumeOf(prepared, job, at + 1)
        await createDrive(path, volume, prepared.grantFile, label(prepared, volume, returnAddress))
        drives.push(volume)
      }
      if (codeFile !== undefined) await writeFile(codeFile, `${prepared.unlockCode}\n`, { mode: 0o600, flag: 'wx' })
      const { device: id, grant, fingerprint, unlockCode } = prepared
      const code = codeFile === undefined ? { unlockCode } : { codeFile }
      const shown = codeFile === undefined ? `unlock code  ${unlockCode}` : `unlock code  in ${codeFile}`
      tell(operator, options, { job, device: id, grant, fingerprint, ...code, drives }, [
        `device       ${id}`,
        `key          ${fingerprint}`,
        ...options.drive.map((path, at) => `drive ${at + 1}      ${path}`),
        shown,
        'Hand the code over on another way than the drives. It is not shown again.',
      ])
    })
}

async function requestOf(options: PrepareOptions, command: Command): Promise<Buffer> {
  if ((options.csr === undefined) === (options.deviceState === undefined))
    return command.error('error: give --csr FILE or --device-state DIR, one of them', { exitCode: 2 })
  if (options.deviceState !== undefined)
    return prepareDeviceToken({ directory: deviceTokenDirectory(options.deviceState) })
  return readFile(options.csr ?? '')
}

async function requireEmpty(path: string): Promise<void> {
  const names = await readdir(path).catch(error => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  })
  const [first] = names.filter(name => name !== 'lost+found')
  if (first !== undefined) throw new StoreError('forbidden', `${path} is not empty (${first}): nothing is overwritten`)
}

function volumeOf(prepared: PreparedDevice, job: JobId, number: number): Volume {
  const createdAt = new Date().toISOString()
  return { format: 1, job, device: prepared.device, drive: newId<DriveId>(), number, createdAt }
}

/** `SEALIFT.txt`: for whoever finds the drive. No secret. */
function label(prepared: PreparedDevice, volume: Volume, returnAddress: string): string {
  const back = returnAddress === '' ? [] : ['', 'If found, please send it to:', returnAddress]
  return [
    'This is a Sealift drive. Everything on it is encrypted; without its keys it is of no use to anyone.',
    `Job ${volume.job}, device ${prepared.device}, drive ${volume.drive} (number ${volume.number}).`,
    ...back,
    '',
  ].join('\n')
}

import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command, Option } from 'commander'
import { readCode } from './code.ts'
import type { CredentialsAnswer, SealAnswer, StatusAnswer } from './commander.ts'
import { fail, onDevice, type Session } from './commands/run.ts'
import {
  showCopy,
  showCopyProgress,
  showCredentials,
  showRemark,
  showSeal,
  showStatus,
  showVerify,
  showVerifyProgress,
} from './commands/show.ts'
import { type GivenConfig, readConfig } from './config.ts'
import type { CopyProgress, CopyResult, Remark } from './copy/report.ts'
import { AgentError } from './fault.ts'
import type { Served } from './serve.ts'
import { openTerminal } from './terminal.ts'
import type { VerifyProgress, VerifyResult } from './verify.ts'

// Commands that ask the running agent load no more than it takes to ask: what holds a device is imported where it is needed.

// a reader that has gone (`| head`) ends what is said, not what is done
for (const stream of [process.stdout, process.stderr])
  stream.on('error', error => {
    if (!('code' in error) || error.code !== 'EPIPE') throw error
  })

type Flags = GivenConfig & { json?: boolean; codeFd?: number }

const program = new Command('sealift')
  .description('Seals data on a portable drive for an object store that is too far away for the network.')
  .option('--state <dir>', 'state directory (SEALIFT_STATE)')
  .option('--drive <dir>', 'drive directory, repeatable (SEALIFT_DRIVES)', (path: string, all: string[] = []) => [
    ...all,
    path,
  ])
  .option(
    '--token <uri>',
    'PKCS#11 URI with module-path and pin-source (SEALIFT_TOKEN); default: SoftHSM in the state directory',
  )
  .option('--json', 'one JSON document on stdout')
  .addOption(new Option('--code-fd <n>', 'read the unlock code from this descriptor').argParser(Number))
  .addHelpText(
    'after',
    '\nExamples:\n  sealift --drive /media/drive serve\n  sealift unlock\n  sealift copy ~/photos s3://photos/2026\n  sealift seal\n\nExit codes: 0 ok, 1 failure, 2 usage, 65 integrity, 69 absent, 74 drive, 75 busy, 77 locked, 78 configuration.',
  )

function session(): Session {
  const flags = program.opts<Flags>()
  const terminal = openTerminal(flags.json === true, process.stdout, process.stderr, () => performance.now())
  return {
    config: readConfig(flags, process.env, process.getuid?.() === 0),
    code: {
      fd: flags.codeFd ?? null,
      file: process.env.SEALIFT_UNLOCK_CODE_FILE ?? null,
      prompt: process.stdin.isTTY === true,
    },
    terminal,
  }
}

/** Runs one command; its number is the exit code. */
async function run(work: (session: Session) => Promise<number>): Promise<void> {
  let open: Session | null = null
  try {
    open = session()
    process.exitCode = await work(open)
  } catch (error) {
    process.exitCode = fail(
      open?.terminal ?? openTerminal(false, process.stdout, process.stderr, () => performance.now()),
      error,
    )
  }
}

program
  .command('serve')
  .description(
    'offer the S3 endpoint and hold the device; unlocks when a code is at hand, else waits for `sealift unlock`',
  )
  .option('--listen <host:port>', 'S3 endpoint; anything but loopback is https', '127.0.0.1:9100')
  .action((options: { listen: string }) =>
    run(async ({ config, code, terminal }) => {
      const { Device } = await import('./device.ts')
      const { parseListen, serve } = await import('./serve.ts')
      const address = parseListen(options.listen)
      const device = await Device.open(config)
      let served: Served | null = null
      try {
        served = await serve(device, {
          ...address,
          onError: error => terminal.say(`sealift: ${error instanceof Error ? error.message : String(error)}`),
        })
        if (code.fd !== null || code.file !== null) await device.unlock(await readCode(code))
        terminal.out(
          JSON.stringify({
            ready: true,
            s3: served.url,
            port: served.port,
            state: device.state,
            tlsFingerprint: served.fingerprint,
          }),
        )
        await new Promise<void>(done => {
          process.once('SIGINT', done)
          process.once('SIGTERM', done)
        })
      } finally {
        // also when the unlocking failed: an open port would keep a process that serves nothing
        await served?.close()
        await device.close()
      }
      return 0
    }),
  )

program
  .command('unlock')
  .description('open the grant with the unlock code; asks for it on a terminal')
  .action(() =>
    run(async open => {
      const typed = await readCode(open.code)
      showStatus(open.terminal, (await onDevice(open, 'unlock', { code: typed }, 'nothing')) as StatusAnswer)
      return 0
    }),
  )

for (const [name, description] of [
  ['lock', 'forget every key; what was sealed stays'],
  ['status', 'what this device is, holds and waits for'],
] as const)
  program
    .command(name)
    .description(description)
    .action(() =>
      run(async open => {
        showStatus(open.terminal, (await onDevice(open, name, {}, 'nothing')) as StatusAnswer)
        return 0
      }),
    )

program
  .command('credentials')
  .description('show the S3 access key of this job (only while unlocked)')
  .action(() =>
    run(async open => {
      showCredentials(open.terminal, (await onDevice(open, 'credentials', {}, 'unlocked')) as CredentialsAnswer)
      return 0
    }),
  )

program
  .command('copy')
  .description(
    'copy a directory or file into a bucket, sealing it on the way; a copy that was stopped goes on where it was',
  )
  .argument('<source>', 'directory or file')
  .argument('<target>', 's3://bucket/prefix')
  .addHelpText('after', '\nExample:\n  sealift copy ~/photos s3://photos/2026')
  .action((source: string, target: string) =>
    run(async open => {
      const { bucket, prefix } = parseTarget(target)
      const result = (await onDevice(open, 'copy', { source: resolve(source), bucket, prefix }, 'unlocked', value => {
        const { copy, remark } = value as { copy?: CopyProgress; remark?: Remark }
        if (copy !== undefined) showCopyProgress(open.terminal, copy)
        if (remark !== undefined) showRemark(open.terminal, remark)
      })) as CopyResult
      showCopy(open.terminal, result)
      return result.failed + result.changed > 0 ? 1 : 0
    }),
  )

program
  .command('seal')
  .description('sign that this is all, and print the seal code; no write is taken afterwards')
  .action(() =>
    run(async open => {
      showSeal(open.terminal, (await onDevice(open, 'seal', {}, 'unlocked')) as SealAnswer)
      return 0
    }),
  )

program
  .command('reopen')
  .description('take writes again after a seal')
  .action(() =>
    run(async open => {
      showStatus(open.terminal, (await onDevice(open, 'reopen', {}, 'unlocked')) as StatusAnswer)
      return 0
    }),
  )

program
  .command('verify')
  .description('read everything on the drives again: every tag where a key is at hand, else every digest')
  .option('--sample <n>', 'only one of so many objects', Number)
  .action((options: { sample?: number }) =>
    run(async open => {
      const result = (await onDevice(open, 'verify', { every: options.sample ?? 1 }, 'unlocked', value => {
        const { verify } = value as { verify?: VerifyProgress }
        if (verify !== undefined) showVerifyProgress(open.terminal, verify)
      })) as VerifyResult
      return showVerify(open.terminal, result)
    }),
  )

program
  .command('proof')
  .description('show that one object is under the seal, in a file that `sealift-verify proof` checks offline')
  .argument('<object>', 's3://bucket/key')
  .option('--output <file>', 'where to write it; default: stdout')
  .addHelpText('after', '\nExample:\n  sealift proof s3://photos/2026/one.jpg --output one.proof')
  .action((target: string, options: { output?: string }) =>
    run(async open => {
      const { bucket, prefix: key } = parseTarget(target)
      const { proof } = (await onDevice(open, 'proof', { bucket, key }, 'unlocked')) as { proof: string }
      if (options.output === undefined) process.stdout.write(proof)
      else writeFileSync(options.output, proof)
      return 0
    }),
  )

program
  .command('self-check')
  .description('a real operation in the token, and the state of the device')
  .action(() =>
    run(async open => {
      showStatus(open.terminal, (await onDevice(open, 'self-check', {}, 'unlocked')) as StatusAnswer)
      return 0
    }),
  )

program
  .command('identity')
  .description("make this device's keys in its token and write the request that the provider certifies")
  .argument('<request>', 'the word "request"')
  .option('--output <file>', 'where to write it; default: stdout')
  .addHelpText('after', '\nExample:\n  sealift identity request --output device.csr')
  .action((what: string, options: { output?: string }) =>
    run(async ({ config, terminal }) => {
      if (what !== 'request') throw new AgentError('usage', `identity ${what}: wanted \`identity request\``)
      const { deviceTokenDirectory, prepareDeviceToken } = await import('../hsm/device-token.ts')
      const { fingerprint, readDeviceRequest } = await import('../format/device-request.ts')
      const request = await prepareDeviceToken({
        directory: deviceTokenDirectory(config.stateDirectory),
        ...(config.tokenUri !== null && { uri: config.tokenUri }),
      })
      const { device, identity } = readDeviceRequest(request)
      if (options.output === undefined) process.stdout.write(request)
      else writeFileSync(options.output, request)
      terminal.say(`device ${device}\nidentity ${fingerprint(identity)}`)
      return 0
    }),
  )

function parseTarget(text: string): { bucket: string; prefix: string } {
  const found = /^s3:\/\/([^/]+)(?:\/(.*))?$/s.exec(text)
  if (found?.[1] === undefined) throw new AgentError('usage', `${text}: wanted s3://bucket/prefix`)
  return { bucket: found[1], prefix: found[2] ?? '' }
}

program.exitOverride()
try {
  await program.parseAsync()
} catch (error) {
  const code = error instanceof Error && 'exitCode' in error ? Number(error.exitCode) : 1
  process.exitCode = code === 0 ? 0 : 2
}

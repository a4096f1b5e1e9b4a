import path from 'node:path'
import { Command, CommanderError } from 'commander'
import { FormatError } from '../format/fault.ts'
import { readCertificate } from './certificate.ts'
import { checkDestruction } from './destruction.ts'
import { checkDrive } from './drive.ts'
import { VerifyError } from './fault.ts'
import { codeOf, isFolder, readWhole } from './file.ts'
import { checkManifestFile } from './manifest.ts'
import { SILENT, terminalProgress } from './progress.ts'
import { type Report, reportJson, reportLines, startReport } from './report.ts'
import { checkCustody, checkProofFile, checkReceipts } from './statements.ts'

export type Terminal = { out: (text: string) => void; error: (text: string) => void; errorIsTerminal: boolean }
export const EXIT = { ok: 0, failure: 1, usage: 2, integrity: 65, io: 74 } as const

type Options = { ca?: string; sealCode?: string; deep?: boolean; certificate?: string }

/** The whole command. @returns its exit code */
export async function verifyCommand(words: string[], terminal: Terminal): Promise<number> {
  let exit: number = EXIT.ok
  const run = async (check: Report['check'], subject: string, work: (report: Report) => Promise<void>) => {
    const report = startReport(check, subject)
    await work(report)
    terminal.out(json() ? `${reportJson(report)}\n` : `${reportLines(report).join('\n')}\n`)
    if (report.faults.length > 0) exit = EXIT.integrity
  }
  const program = new Command('sealift-verify')
    .description('Checks what Sealift signed, offline: no token, no key, no network.')
    .option('--json', 'one JSON document instead of lines')
    .exitOverride()
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.error })
    .addHelpText('after', HELP)
  const json = (): boolean => program.opts<{ json?: boolean }>().json === true
  const add = (name: string, summary: string): Command =>
    program
      .command(name)
      .description(summary)
      .option('--ca <file>', 'certificate (PEM or DER) of the authority that you trust')
  add('manifest', 'a manifest file, or a whole drive')
    .argument('<path>')
    .option('--seal-code <code>', 'the code that was printed at the seal: shows that no older seal was put back')
    .option('--deep', "on a drive: read every object's bytes and compare their digests")
    .action((subject: string, options: Options) =>
      run('manifest', subject, async report => {
        const ca = await caOf(options)
        const checks = { ca, sealCode: options.sealCode ?? null }
        if (!(await isFolder(subject))) {
          if (options.deep) throw new VerifyError('usage', '--deep: wanted a drive, found a file')
          await checkManifestFile(subject, checks, report)
          return
        }
        const progress = (total: number) =>
          terminal.errorIsTerminal && !json()
            ? terminalProgress(terminal.error, total, () => performance.now())
            : SILENT
        await checkDrive(subject, { ...checks, deep: options.deep ?? false, progress }, report)
      }),
    )
  add('proof', 'that one object is in a signed set')
    .argument('<file>')
    .action((subject: string, options: Options) =>
      run('proof', subject, async report => checkProofFile(subject, await caOf(options), report)),
    )
  add('receipts', "the provider's receipts, every line")
    .argument('<file>')
    .action((subject: string, options: Options) =>
      run('receipts', subject, async report => checkReceipts(subject, await caOf(options), report)),
    )
  add('custody', "a device's custody log")
    .argument('<file>')
    .option('--certificate <file>', "the device's certificate; else that in the grant beside the log")
    .action((subject: string, options: Options) =>
      run('custody', subject, async report =>
        checkCustody(path.resolve(subject), await caOf(options), options.certificate ?? null, report),
      ),
    )
  add('destruction', "the provider's record that a key was destroyed")
    .argument('<file>')
    .action((subject: string, options: Options) =>
      run('destruction', subject, async report => checkDestruction(subject, await caOf(options), report)),
    )
  try {
    await program.parseAsync(words, { from: 'user' })
    return exit
  } catch (error) {
    return failed(error, terminal)
  }
}

async function caOf({ ca }: Options) {
  if (ca === undefined) return null
  const bytes = await readWhole(ca, 64 << 10)
  try {
    return readCertificate(bytes, ca)
  } catch (cause) {
    throw new VerifyError('usage', `--ca ${ca}: wanted an X.509 certificate, PEM or DER`, { cause })
  }
}

function failed(error: unknown, { error: write }: Terminal): number {
  // Commander has told its own errors already
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  const message = error instanceof Error ? error.message : String(error)
  write(`sealift-verify: ${message}\n`)
  if (error instanceof VerifyError) return EXIT.usage
  if (error instanceof FormatError) return EXIT.integrity
  return codeOf(error) === '' ? EXIT.failure : EXIT.io
}

const HELP = `
Examples:
  sealift-verify manifest /media/drive --ca provider-ca.pem --seal-code 4F2K-0A7B-9QWE-1XYZ --deep
  sealift-verify proof contract.proof.json --ca provider-ca.pem
  sealift-verify receipts receipts.slr --ca provider-ca.pem --json
  sealift-verify custody /media/drive/custody.log --ca provider-ca.pem
  sealift-verify destruction shredded.sld --ca provider-ca.pem

Exit codes: 0 all holds, 2 wrong arguments or a file that is not there, 65 something does not hold, 74 a medium cannot be read.`

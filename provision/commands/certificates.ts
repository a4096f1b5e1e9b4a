import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { PROCESS_ROLES, type ProcessRole, processName } from '../../format/process-certificate.ts'
import { pem } from '../../hsm/pem.ts'
import { makeDirectoryDurable, writeFileDurable } from '../../store/durable.ts'
import { CommandFault } from '../command-fault.ts'
import { type CommonOptions, type Operator, tell, withAdministration } from '../operator.ts'

type MakeOptions = CommonOptions & { role: ProcessRole; output: string; request?: string }

/** Certificates of processes that speak to the keystore from other machines. */
export function certificateCommands(program: Command, operator: Operator): void {
  const certificate = program
    .command('keystore')
    .description('the keystore, for processes on other machines')
    .command('certificate')
    .description('by which they and the keystore know each other')
  const role = () =>
    new Option('--role <role>', 'what the process may ask for').choices(PROCESS_ROLES).makeOptionMandatory()
  certificate
    .command('request')
    .argument('<name>', 'of the process: a-z, 0-9, "." and "-"')
    .addOption(role())
    .option('--output <dir>', 'where NAME.key and NAME.csr go', '.')
    .description('make a key that stays on this machine, and a request for its certificate')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<MakeOptions>()
      const { key, request } = await newKey(options.role, name)
      const paths = await put(options.output, [
        [`${name}.key`, key, 0o600],
        [`${name}.csr`, pem('CERTIFICATE REQUEST', request), 0o644],
      ])
      tell(operator, options, { paths }, paths)
    })
  certificate
    .command('issue')
    .argument('<name>', 'of the process: a-z, 0-9, "." and "-"')
    .addOption(role())
    .option('--request <file>', 'NAME.csr of the machine where the process runs; without it the key is made here')
    .option('--output <dir>', 'where NAME.crt, keystore-ca.pem and, without --request, NAME.key go', '.')
    .description('certify a process: it may ask what its role may ask, for two years')
    .addHelpText(
      'after',
      '\nExample:\n  sealift-provider keystore certificate issue hosted-1 --role hosted --output certificates',
    )
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<MakeOptions>()
      const made = options.request === undefined ? await newKey(options.role, name) : null
      const request = made?.request ?? derOf(await readFile(options.request ?? '', 'utf8'))
      const issued = await withAdministration(operator, options, at =>
        at.issueProcessCertificate(options.role, name, request),
      )
      const paths = await put(options.output, [
        ...(made === null ? [] : [[`${name}.key`, made.key, 0o600] as const]),
        [`${name}.crt`, pem('CERTIFICATE', issued.certificate), 0o644],
        ['keystore-ca.pem', pem('CERTIFICATE', issued.authority), 0o644],
      ])
      tell(operator, options, { paths }, paths)
    })
  certificate
    .command('list')
    .description('all that were issued')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const certificates = await withAdministration(operator, options, at => at.listProcessCertificates())
      const lines = certificates.map(
        each =>
          `${each.serial}  ${each.role}  ${each.name}  ${each.revoked ? 'revoked' : `till ${new Date(each.expiresAt).toISOString()}`}`,
      )
      tell(operator, options, { certificates }, lines)
    })
  certificate
    .command('revoke')
    .argument('<serial>', 'as `list` shows it')
    .description('nobody is let in by it any more, and whoever is in is put out')
    .action(async (serial: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await withAdministration(operator, options, at => at.revokeProcessCertificate(serial))
      tell(operator, options, { revoked: serial }, [`certificate ${serial} lets nobody in any more`])
    })
}

/** What reads and writes certificates is large: no other command waits for it. */
async function newKey(role: ProcessRole, name: string): Promise<{ key: string; request: Buffer }> {
  const { newSoftwareKey } = await import('../../hsm/software-key.ts')
  return newSoftwareKey(processName(role, name))
}

async function put(
  directory: string,
  files: readonly (readonly [name: string, text: string, mode: number])[],
): Promise<string[]> {
  await makeDirectoryDurable(directory, 0o700)
  for (const [name, text, mode] of files) await writeFileDurable(join(directory, name), Buffer.from(text), mode)
  return files.map(([name]) => join(directory, name))
}

function derOf(text: string): Buffer {
  const found = /-----BEGIN CERTIFICATE REQUEST-----([\s\S]+?)-----END CERTIFICATE REQUEST-----/.exec(text)?.[1]
  if (found === undefined) throw new CommandFault('the file holds no certificate request in PEM', 65)
  return Buffer.from(found, 'base64')
}

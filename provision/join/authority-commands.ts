import { hash, X509Certificate } from 'node:crypto'
import { chmodSync, existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { makeDirectoryDurable, writeFileDurable } from '../../store/durable.ts'
import { lockDirectory } from '../../store/lock.ts'
import { initialiseKeystore } from '../keystore-process.ts'
import { CONFIG_FILE, type CommonOptions, type Operator, stateOf, tell, withAdministration } from '../operator.ts'

type InitOptions = CommonOptions & { token?: string; name: string; hostSuffix?: string; readersSeeAcl?: boolean }

export function authorityCommands(program: Command, operator: Operator): void {
  program
    .command('init')
    .option('--token <uri>', 'PKCS#11 URI with module-path and pin-source; SoftHSM in the state directory otherwise')
    .option('--name <name>', "the provider's name in its certificates", 'Sealift provider')
    .option('--host-suffix <suffix>', 'hosts below it name the bucket: bucket.SUFFIX')
    .option('--readers-see-acl', 'whoever may read or write sees the ACL, and whoever may write changes it')
    .description("make the provider's authority: token, keys, certificates")
    .addHelpText('after', '\nExample:\n  sealift-provider init --name "Lift Ltd" --state /srv/sealift')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<InitOptions>()
      const state = resolve(stateOf(operator, options))
      await makeDirectoryDurable(state, 0o700)
      chmodSync(state, 0o700)
      const lock = lockDirectory(state)
      try {
        const config = join(state, CONFIG_FILE)
        if (!existsSync(config)) await writeFileDurable(config, configBytes(state, options), 0o600)
        const { tokenOperations, suites } = await initialiseKeystore({ entry: operator.keystoreEntry, config })
        tell(operator, options, { state, tokenOperations, suites }, [`the authority is made in ${state}`])
      } finally {
        lock.close()
      }
    })
  program
    .command('status')
    .description('the authority: its process, its token, its certificate')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const status = await withAdministration(operator, options, at => at.status())
      tell(operator, options, status, [
        `keystore     process ${status.processId}, token process ${status.tokenProcessId}`,
        `token        ${status.tokenOperations} operations since it was opened`,
        `certificate  ${status.caFingerprint}`,
      ])
    })
  program
    .command('certificate')
    .option('--output <file>', 'where to write it; default: stdout')
    .description("the provider's CA certificate (PEM), for `sealift-verify --ca`: hand it to customers")
    .addHelpText('after', '\nExample:\n  sealift-provider certificate --output provider-ca.pem')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { output?: string }>()
      const { output } = options
      const der = await withAdministration(operator, options, at => at.caCertificate())
      const certificate = new X509Certificate(der).toString()
      if (output !== undefined) await writeFile(output, certificate)
      const shown = { ...(output === undefined ? { certificate } : { output }), caFingerprint: fingerprintOf(der) }
      tell(operator, options, shown, output === undefined ? [certificate.trimEnd()] : [`certificate  in ${output}`])
    })
}

/** As `status` shows it. */
function fingerprintOf(der: Uint8Array): string {
  return hash('sha256', der, 'hex')
}

function configBytes(state: string, { token, name, hostSuffix, readersSeeAcl = false }: InitOptions): Buffer {
  const config = {
    state,
    token: token ?? null,
    virtualHostSuffix: hostSuffix ?? null,
    readersSeeAcl,
    commonName: name,
  }
  return Buffer.from(`${JSON.stringify(config, null, 2)}\n`, 'utf8')
}

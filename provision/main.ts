import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import { accountCommands } from './commands/accounts.ts'
import { certificateCommands } from './commands/certificates.ts'
import { deviceCommands } from './commands/devices.ts'
import { groupCommands } from './commands/groups.ts'
import { issuerCommands } from './commands/issuers.ts'
import { jobCommands } from './commands/jobs.ts'
import { keyCommands } from './commands/keys.ts'
import { userCommands } from './commands/users.ts'
import { adminTokenCommands } from './join/admin-commands.ts'
import { authorityCommands } from './join/authority-commands.ts'
import { intakeCommand } from './join/intake-command.ts'
import { serveCommand } from './join/serve-command.ts'
import { storeCommands } from './join/store-commands.ts'
import { usageCommands } from './join/usage-commands.ts'
import { exitCodeOf, type Operator } from './operator.ts'

function defaultState(): string {
  const { SEALIFT_PROVIDER_STATE: given, XDG_STATE_HOME: home } = process.env
  if (given !== undefined && given !== '') return given
  if (process.getuid?.() === 0) return '/var/lib/sealift-provider'
  return join(home ?? join(homedir(), '.local', 'state'), 'sealift-provider')
}

// a reader that has gone (`| head`) ends what is said, not what is done
for (const stream of [process.stdout, process.stderr])
  stream.on('error', error => {
    if (!('code' in error) || error.code !== 'EPIPE') throw error
  })

const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
const operator: Operator = {
  state: defaultState(),
  keystoreEntry: fileURLToPath(new URL(`./keystore/main.${extension}`, import.meta.url)),
  write: text => void process.stdout.write(text),
}

const program = new Command('sealift-provider')
  .description("the provider's command: accounts, users, groups, jobs, devices, keys")
  .option('--state <dir>', `state directory (SEALIFT_PROVIDER_STATE); default ${operator.state}`)
  .option('--json', 'one line of JSON instead of words')
  .addHelpText(
    'after',
    '\nExit codes: 0 ok, 1 failure, 2 usage, 65 data, 69 token or service absent, 73 cannot create, 74 I/O, 75 try again, 77 locked, 78 configuration',
  )
  .exitOverride()
authorityCommands(program, operator)
serveCommand(program, operator)
accountCommands(program, operator)
userCommands(program, operator)
groupCommands(program, operator)
issuerCommands(program, operator)
certificateCommands(program, operator)
jobCommands(program, operator)
keyCommands(program, operator)
deviceCommands(program, operator)
intakeCommand(program, operator)
usageCommands(program, operator)
storeCommands(program, operator)
adminTokenCommands(program, operator)

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else {
    process.stderr.write(`sealift-provider: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = exitCodeOf(error)
  }
}

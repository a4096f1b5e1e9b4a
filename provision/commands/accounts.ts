import type { Command } from 'commander'
import { type CommonOptions, type Operator, tell, withAdministration } from '../operator.ts'

export function accountCommands(program: Command, operator: Operator): void {
  const account = program.command('account').description('who owns objects and access keys')
  account
    .command('create')
    .argument('<name>')
    .description('make an account, and its master key in the token')
    .addHelpText('after', '\nExample:\n  sealift-provider account create "Studio North"')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const made = await withAdministration(operator, options, at => at.createAccount(name))
      tell(operator, options, made, [`account ${made.name} (${made.id})`])
    })
  account
    .command('list')
    .description('all accounts')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const accounts = await withAdministration(operator, options, at => at.listAccounts())
      const lines = accounts.map(each => `${each.id}  ${each.name}${each.disabled ? '  (disabled)' : ''}`)
      tell(operator, options, { accounts }, lines)
    })
  account
    .command('disable')
    .argument('<account>', 'id or name')
    .description('switch an account off: its keys sign nothing any more, its objects are released to nobody')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await withAdministration(operator, options, at => at.disableAccount(name))
      tell(operator, options, { disabled: name }, [`account ${name} is switched off`])
    })

  const key = program.command('access-key').description('what clients sign requests with')
  key
    .command('create')
    .argument('<user>', 'account for its own user, account/name, or id')
    .option('--name <name>', 'what it is for', '')
    .description('make an access key; its secret is shown this once')
    .addHelpText(
      'after',
      '\nExamples:\n  sealift-provider access-key create "Studio North" --name laptop\n  sealift-provider access-key create "Studio North/anna"',
    )
    .action(async (user: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { name: string }>()
      const made = await withAdministration(operator, options, at => at.createAccessKey(user, options.name))
      const lines = [`access key  ${made.accessKey}`, `secret      ${made.secret}`, 'The secret is not shown again.']
      tell(operator, options, made, lines)
    })
  key
    .command('disable')
    .argument('<access-key>')
    .description('switch an access key off, from the next request on')
    .action(async (accessKey: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await withAdministration(operator, options, at => at.disableAccessKey(accessKey))
      tell(operator, options, { disabled: accessKey }, [`access key ${accessKey} is switched off`])
    })
}

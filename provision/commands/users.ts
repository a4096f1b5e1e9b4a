import type { Command } from 'commander'
import { type CommonOptions, type Operator, tell, withAdministration } from '../operator.ts'

const USER = 'id, account/name, or an account for its own user'

export function userCommands(program: Command, operator: Operator): void {
  const user = program
    .command('user')
    .description('who ACLs give rights to; an account has one of its own from the start')
  user
    .command('create')
    .argument('<account>', 'id or name')
    .argument('<name>')
    .option('--email <address>', 'by which ACLs may name the user')
    .description('make a user of an account')
    .addHelpText('after', '\nExample:\n  sealift-provider user create acme anna --email anna@acme.example')
    .action(async (account: string, name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { email?: string }>()
      const made = await withAdministration(operator, options, at =>
        at.createUser(account, name, options.email ?? null),
      )
      tell(operator, options, made, [`user ${account}/${made.name} (${made.id})`])
    })
  user
    .command('list')
    .argument('<account>', 'id or name')
    .description('users of an account')
    .action(async (account: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const users = await withAdministration(operator, options, at => at.listUsers(account))
      const lines = users.map(each =>
        [each.id, each.name, each.email ?? '', each.disabled ? '(disabled)' : ''].join('  ').trimEnd(),
      )
      tell(operator, options, { users }, lines)
    })
  user
    .command('email')
    .argument('<user>', USER)
    .argument('[address]', 'none: takes it away')
    .description('by which address ACLs may name a user; what was granted by the old one stays his')
    .addHelpText('after', '\nExample:\n  sealift-provider user email acme office@acme.example')
    .action(async (name: string, address: string | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const email = address ?? null
      await withAdministration(operator, options, at => at.setEmail(name, email))
      tell(operator, options, { user: name, email }, [`user ${name}: ${email ?? 'no address'}`])
    })
  user
    .command('disable')
    .argument('<user>', USER)
    .description('switch a user off: its access keys sign nothing any more, from the next request on')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await withAdministration(operator, options, at => at.disableUser(name))
      tell(operator, options, { disabled: name }, [`user ${name} is switched off`])
    })
  user
    .command('link')
    .argument('<user>', USER)
    .argument('<issuer>', 'id or name')
    .argument('<subject>', 'as the identity provider calls him')
    .description('whoever is that subject at the identity provider is this user')
    .addHelpText('after', '\nExample:\n  sealift-provider user link acme/anna corp 00u1a2b3c4')
    .action(async (name: string, issuer: string, subject: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await withAdministration(operator, options, at => at.linkUser(name, issuer, subject))
      tell(operator, options, { user: name, issuer, subject }, [`${subject} at ${issuer} is ${name}`])
    })
  user
    .command('unlink')
    .argument('<issuer>', 'id or name')
    .argument('<subject>', 'as the identity provider calls him')
    .description('that subject is nobody here any more, or somebody new at its next request')
    .action(async (issuer: string, subject: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await withAdministration(operator, options, at => at.unlinkUser(issuer, subject))
      tell(operator, options, { issuer, unlinked: subject }, [`${subject} at ${issuer} is linked to nobody`])
    })
}

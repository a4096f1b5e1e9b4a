import type { Command } from 'commander'
import type { MemberKind } from '../../format/directory.ts'
import { type CommonOptions, type Operator, tell, withAdministration } from '../operator.ts'

type MemberOptions = CommonOptions & { group?: true }

const GROUP = 'id, or account/name'
const kindOf = (options: MemberOptions): MemberKind => (options.group ? 'group' : 'user')

export function groupCommands(program: Command, operator: Operator): void {
  const group = program.command('group').description('users together: one entry in an ACL, looked up at every request')
  group
    .command('create')
    .argument('<account>', 'id or name')
    .argument('<name>')
    .option('--email <address>', 'by which ACLs may name the group')
    .description('make a group of an account')
    .addHelpText('after', '\nExample:\n  sealift-provider group create acme editors --email editors@acme.example')
    .action(async (account: string, name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { email?: string }>()
      const made = await withAdministration(operator, options, at =>
        at.createGroup(account, name, options.email ?? null),
      )
      tell(operator, options, made, [`group ${account}/${made.name} (${made.id})`])
    })
  group
    .command('list')
    .argument('<account>', 'id or name')
    .description('groups of an account')
    .action(async (account: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const groups = await withAdministration(operator, options, at => at.listGroups(account))
      const lines = groups.map(each => [each.id, each.name, each.email ?? ''].join('  ').trimEnd())
      tell(operator, options, { groups }, lines)
    })
  group
    .command('show')
    .argument('<group>', GROUP)
    .description('a group and who is in it')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const found = await withAdministration(operator, options, at => at.showGroup(name))
      const members = found.members.map(each => `  ${each.kind}  ${each.id}  ${each.name}`)
      tell(operator, options, found, [`group ${found.name} (${found.id})`, ...members])
    })
  group
    .command('delete')
    .argument('<group>', GROUP)
    .description('remove a group: ACLs that name it give nobody anything by it')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await withAdministration(operator, options, at => at.deleteGroup(name))
      tell(operator, options, { deleted: name }, [`group ${name} is gone`])
    })
  group
    .command('add')
    .argument('<group>', GROUP)
    .argument('<member>', 'user (id, account/name, account), or with --group a group')
    .option('--group', 'the member is a group')
    .description('put somebody into a group; counts at once, for everything whose ACL names it')
    .addHelpText(
      'after',
      '\nExamples:\n  sealift-provider group add acme/editors acme/anna\n  sealift-provider group add acme/staff acme/editors --group',
    )
    .action(async (name: string, member: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<MemberOptions>()
      await withAdministration(operator, options, at => at.addMember(name, kindOf(options), member))
      tell(operator, options, { group: name, added: member }, [`${member} is in group ${name}`])
    })
  group
    .command('remove')
    .argument('<group>', GROUP)
    .argument('<member>', 'as given to add')
    .option('--group', 'the member is a group')
    .description('take somebody out of a group; counts at once')
    .action(async (name: string, member: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<MemberOptions>()
      await withAdministration(operator, options, at => at.removeMember(name, kindOf(options), member))
      tell(operator, options, { group: name, removed: member }, [`${member} is not in group ${name} any more`])
    })

  const domain = program.command('domain').description('domains that are verified to be of an account')
  domain
    .command('add')
    .argument('<account>', 'id or name')
    .argument('<domain>')
    .description('all users of the account belong to this domain; verify first that it is theirs')
    .action(async (account: string, name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await withAdministration(operator, options, at => at.addDomain(account, name))
      tell(operator, options, { account, domain: name }, [`${name} is of account ${account}`])
    })
  domain
    .command('remove')
    .argument('<account>', 'id or name')
    .argument('<domain>')
    .description('nobody belongs to it any more, at once')
    .action(async (account: string, name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await withAdministration(operator, options, at => at.removeDomain(account, name))
      tell(operator, options, { account, removed: name }, [`${name} is not of account ${account} any more`])
    })
}

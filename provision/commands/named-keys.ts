import { type Command, InvalidArgumentError } from 'commander'
import type { MemberKind } from '../../format/directory.ts'
import { CommandFault } from '../command-fault.ts'
import { type CommonOptions, type Operator, tell, withAdministration } from '../operator.ts'

const KEY = 'account/name, or id'

export function namedKeyCommands(key: Command, operator: Operator): void {
  key
    .command('create')
    .argument('<key>', 'account/name')
    .description("make a key besides the account's own, which nobody may use yet")
    .addHelpText(
      'after',
      `
Whoever may use it names it when he uploads, by its name or id:
  x-amz-server-side-encryption: aws:kms
  x-amz-server-side-encryption-aws-kms-key-id: acme/film
Examples:
  sealift-provider key create acme/film
  sealift-provider key grant acme/film user acme/anna
  sealift-provider key grant acme/film group acme/editors`,
    )
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const [account = '', own, more] = name.split('/')
      if (own === undefined || more !== undefined) throw new CommandFault(`"${name}": want account/name`, 2)
      const made = await withAdministration(operator, options, at => at.createKey(account, own))
      tell(operator, options, made, [`key ${account}/${made.name} (${made.id})`])
    })
  for (const verb of ['disable', 'enable'] as const)
    key
      .command(verb)
      .argument('<key>', KEY)
      .description(
        verb === 'disable'
          ? 'switch a key off: nothing under it is released, nothing is sealed under it'
          : 'switch it on again',
      )
      .action(async (name: string, _: unknown, command: Command) => {
        const options = command.optsWithGlobals<CommonOptions>()
        await withAdministration(operator, options, at =>
          verb === 'disable' ? at.disableKey(name) : at.enableKey(name),
        )
        tell(operator, options, { [`${verb}d`]: name }, [
          `key ${name} is switched ${verb === 'disable' ? 'off' : 'on'}`,
        ])
      })
  for (const verb of ['grant', 'revoke'] as const)
    key
      .command(verb)
      .argument('<key>', KEY)
      .argument('<kind>', 'user or group', memberKind)
      .argument('<members...>', 'id, account/name, or of a user an account for its own')
      .description(
        verb === 'grant'
          ? 'let users or groups use a key; they read what ACLs let them read besides'
          : 'take that back: in force from the answer on',
      )
      .action(async (name: string, kind: MemberKind, members: string[], _: unknown, command: Command) => {
        const options = command.optsWithGlobals<CommonOptions>()
        await withAdministration(operator, options, async at => {
          for (const member of members)
            await (verb === 'grant' ? at.grantKey(name, kind, member) : at.revokeKey(name, kind, member))
        })
        const [word, end] = verb === 'grant' ? ['may use', ''] : ['may not use', ' any more']
        tell(operator, options, { key: name, [verb]: members }, [`${members.join(', ')} ${word} key ${name}${end}`])
      })
}

function memberKind(text: string): MemberKind {
  if (text !== 'user' && text !== 'group') throw new InvalidArgumentError('want user or group')
  return text
}

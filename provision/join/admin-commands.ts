import { resolve } from 'node:path'
import type { Command } from 'commander'
import { CommandFault } from '../command-fault.ts'
import { type CommonOptions, type Operator, stateOf, tell } from '../operator.ts'
import { createAdminToken, listAdminTokens, removeAdminToken } from './admin-tokens.ts'

export function adminTokenCommands(program: Command, operator: Operator): void {
  const token = program
    .command('admin-token')
    .description('by which programs administer over TCP (serve --listen-admin)')
  const given = (command: Command) => {
    const options = command.optsWithGlobals<CommonOptions>()
    return { options, state: resolve(stateOf(operator, options)) }
  }
  token
    .command('create')
    .argument('<name>', 'what it is for; one of that name is replaced')
    .description('make a token; it is shown this once')
    .action(async (name: string, _: unknown, command: Command) => {
      const { options, state } = given(command)
      const made = await createAdminToken(state, name, Date.now())
      tell(operator, options, { name, token: made }, [made])
    })
  token
    .command('list')
    .description('all tokens, by name')
    .action(async (_: unknown, command: Command) => {
      const { options, state } = given(command)
      const tokens = await listAdminTokens(state)
      tell(
        operator,
        options,
        { tokens },
        tokens.map(each => `${each.name}  since ${new Date(each.createdAt).toISOString()}`),
      )
    })
  token
    .command('remove')
    .argument('<name>')
    .description('it opens nothing from now on')
    .action(async (name: string, _: unknown, command: Command) => {
      const { options, state } = given(command)
      if (!(await removeAdminToken(state, name))) throw new CommandFault(`there is no token ${name}`, 1)
      tell(operator, options, { removed: name }, [`token ${name} opens nothing any more`])
    })
}

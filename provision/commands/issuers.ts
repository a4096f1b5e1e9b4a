import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { ISSUER_SETTINGS, type Issuer, type IssuerSettings } from '../../format/identity.ts'
import { type CommonOptions, type Operator, tell, withAdministration } from '../operator.ts'

type AddOptions = CommonOptions & {
  url: string
  account: string
  password?: true
  audience: string[]
  algorithm: string[]
  groupsClaim: string
  group: string[]
  domainClaim: string
  skew: string
  provision: boolean
  aclWritesByBearer?: true
  clientId?: string
  secretFile?: string
}

const ISSUER = 'id or name'
const gather = (value: string, before: string[]): string[] => [...before, value]

export function issuerCommands(program: Command, operator: Operator): void {
  const issuer = program
    .command('issuer')
    .description('identity providers whose word counts here: OpenID providers, and services that know passwords')
  issuer
    .command('add')
    .argument('<name>')
    .requiredOption(
      '--url <url>',
      'of an OpenID provider as its tokens write it; of a password service where it is asked',
    )
    .requiredOption('--account <account>', 'whose users its people become')
    .option(
      '--password',
      'a service that is asked whether a name and a password belong together (docs/password-service.md)',
    )
    .option('--audience <audience>', 'of access tokens that are taken in place of a signature; repeatable', gather, [])
    .option('--algorithm <name>', 'repeatable; default RS256, ES256, EdDSA', gather, [])
    .option('--groups-claim <claim>', 'where it says what groups somebody is in', 'groups')
    .option('--group <claim=group>', 'whoever has this value there is in that group here; repeatable', gather, [])
    .option('--domain-claim <claim>', 'hd, email (when email_verified) or none', 'none')
    .option('--skew <seconds>', 'how far its clock may be off, at most 60', '30')
    .option('--no-provision', 'only whom `user link` names, nobody at first sight')
    .option('--acl-writes-by-bearer', 'callers with a token or a session may change ACLs, though they sign nothing')
    .option('--client-id <id>', 'of our login from browsers')
    .option('--secret-file <file>', 'what we prove ourselves with to the provider; never an argument')
    .description('trust an identity provider')
    .addHelpText(
      'after',
      '\nExamples:\n  sealift-provider issuer add corp --url https://id.acme.example --account acme --audience https://store.example --group staff=acme/staff\n  sealift-provider issuer add ldap --password --url https://login.acme.example/check --account acme --secret-file /run/secrets/check',
    )
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<AddOptions>()
      const settings = settingsOf(name, options, command)
      const secret = options.secretFile === undefined ? null : readFileSync(options.secretFile, 'utf8').trim()
      const made = await withAdministration(operator, options, at => at.addIssuer(settings, secret))
      tell(operator, options, made, [line(made)])
    })
  issuer
    .command('list')
    .description('who is trusted')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const issuers = await withAdministration(operator, options, at => at.listIssuers())
      tell(operator, options, { issuers }, issuers.map(line))
    })
  issuer
    .command('remove')
    .argument('<issuer>', ISSUER)
    .description('its tokens and sessions prove nothing any more, from the next request on')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await withAdministration(operator, options, at => at.removeIssuer(name))
      tell(operator, options, { removed: name }, [`${name} is not trusted any more`])
    })

  const origin = program.command('login-origin').description('where browsers may log in, and be sent back to')
  origin
    .command('add')
    .argument('<origin>', 'https://host, or http on loopback')
    .description('serve the pages for logging in at this host; a browser that is refused there is sent to them')
    .addHelpText('after', '\nExample:\n  sealift-provider login-origin add https://store.example')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await withAdministration(operator, options, at => at.addLoginOrigin(name))
      tell(operator, options, { origin: name }, [`browsers may log in at ${name}`])
    })
  origin
    .command('list')
    .description('where browsers may log in')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const origins = await withAdministration(operator, options, at => at.listLoginOrigins())
      tell(operator, options, { origins }, origins)
    })
  origin
    .command('remove')
    .argument('<origin>')
    .description('no pages for logging in there any more')
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await withAdministration(operator, options, at => at.removeLoginOrigin(name))
      tell(operator, options, { removed: name }, [`browsers do not log in at ${name} any more`])
    })
}

function settingsOf(name: string, options: AddOptions, command: Command): IssuerSettings {
  const { url, account, audience, algorithm, groupsClaim, group, domainClaim, skew, provision } = options
  const groups = group.map(each => {
    const cut = each.lastIndexOf('=')
    if (cut < 1) return command.error(`error: --group ${each}: want CLAIM=GROUP`, { exitCode: 2 })
    return { claim: each.slice(0, cut), group: each.slice(cut + 1) }
  })
  if (!/^\d{1,2}$/.test(skew)) return command.error(`error: --skew ${skew}: want seconds, at most 60`, { exitCode: 2 })
  const kind = options.password === true ? 'password' : 'oidc'
  const given = {
    ...{ name, kind, url, account, audiences: audience, groupsClaim, groups, domainClaim, skewSeconds: Number(skew) },
    algorithms: algorithm.length > 0 ? algorithm : ['RS256', 'ES256', 'EdDSA'],
    ...{ provision, aclWritesByBearer: options.aclWritesByBearer === true, clientId: options.clientId ?? null },
  }
  return ISSUER_SETTINGS.take(given, 'issuer')
}

function line({ id, name, kind, url, audiences, provision }: Issuer): string {
  const taken = kind === 'oidc' ? `for ${audiences.join(', ') || 'logging in'}` : 'by password'
  return [id, name, kind, url, taken, provision ? '' : '(linked users only)'].join('  ').trimEnd()
}

import { type Administration, AdministrationError, type AuthorityStatus } from '../../format/administration.ts'
import { FormatError } from '../../format/fault.ts'
import type { IdentityAdministration } from '../../format/identity.ts'
import type { ProcessAdministration } from '../../format/process-certificate.ts'
import { ReleaseError } from '../../format/release.ts'
import { TokenError } from '../../hsm/token.ts'
import type { Audit } from './audit.ts'
import type { ExportEpochs } from './exports/export-epochs.ts'
import type { ExportOrders } from './exports/export-orders.ts'
import type { Devices } from './jobs/devices.ts'
import type { Jobs } from './jobs/jobs.ts'
import type { Stations } from './jobs/stations.ts'
import type { KeyWorks } from './keys/key-works.ts'
import type { MasterKeys } from './keys/master-keys.ts'
import type { NamedKeys } from './keys/named-keys.ts'
import type { Accounts } from './people/accounts.ts'
import type { Groups } from './people/groups.ts'
import type { Users } from './people/users.ts'

/** What the operator may do, each change on record before its answer leaves. */
export function administrationOf(on: {
  accounts: Accounts
  users: Users
  groups: Groups
  identities: IdentityAdministration
  processes: ProcessAdministration
  jobs: Jobs
  devices: Devices
  masters: MasterKeys
  namedKeys: NamedKeys
  keyWorks: Omit<KeyWorks, 'resume' | 'close'>
  stations: Pick<Stations, 'enrol'>
  exportOrders: ExportOrders
  exportEpochs: Pick<ExportEpochs, 'forget'>
  audit: Audit
  status: () => Promise<AuthorityStatus>
  caCertificate: Buffer
}): Administration {
  const {
    accounts,
    users,
    groups,
    identities,
    processes,
    jobs,
    devices,
    masters,
    namedKeys,
    keyWorks,
    stations,
    exportOrders,
    exportEpochs,
    audit,
    status,
    caCertificate,
  } = on

  const change = async <T>(what: string, about: string, work: () => Promise<T>): Promise<T> => {
    const entry = { what, who: 'operator', about }
    let answer: T
    try {
      answer = await work()
    } catch (cause) {
      const error = administrationError(cause)
      await audit.write({ ...entry, outcome: `${error.fault}: ${error.message}` })
      throw error
    }
    await audit.write({ ...entry, outcome: 'done' })
    return answer
  }
  const look = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (cause) {
      throw administrationError(cause)
    }
  }
  return {
    createAccount: name => change('account create', name, () => accounts.create(name)),
    listAccounts: () => look(accounts.list),
    disableAccount: account =>
      change('account disable', account, async () => {
        await accounts.disable(account)
      }),
    createAccessKey: (user, name) =>
      change('access-key create', user, async () => accounts.createAccessKey(await users.find(user), name)),
    disableAccessKey: accessKey => change('access-key disable', accessKey, () => accounts.disableAccessKey(accessKey)),
    createUser: (account, name, email) =>
      change('user create', `${account}/${name}`, () => users.create(account, name, email)),
    listUsers: account => look(() => users.list(account)),
    setEmail: (user, email) => change('user e-mail', user, () => users.setEmail(user, email)),
    disableUser: user => change('user disable', user, () => users.disable(user)),
    createGroup: (account, name, email) =>
      change('group create', `${account}/${name}`, () => groups.create(account, name, email)),
    listGroups: account => look(() => groups.list(account)),
    showGroup: group => look(() => groups.show(group)),
    deleteGroup: group => change('group delete', group, () => groups.remove(group)),
    addMember: (group, kind, member) =>
      change('group add', `${kind} ${member} to ${group}`, () => groups.addMember(group, kind, member)),
    removeMember: (group, kind, member) =>
      change('group remove', `${kind} ${member} from ${group}`, () => groups.removeMember(group, kind, member)),
    addDomain: (account, domain) =>
      change('domain add', `${domain} to ${account}`, () => groups.addDomain(account, domain)),
    removeDomain: (account, domain) =>
      change('domain remove', `${domain} from ${account}`, () => groups.removeDomain(account, domain)),
    addIssuer: (settings, secret) =>
      change('issuer add', `${settings.name}: ${settings.url}`, () => identities.addIssuer(settings, secret)),
    listIssuers: () => look(identities.listIssuers),
    removeIssuer: issuer => change('issuer remove', issuer, () => identities.removeIssuer(issuer)),
    linkUser: (user, issuer, subject) =>
      change('user link', `${user} is ${subject} at ${issuer}`, () => identities.linkUser(user, issuer, subject)),
    unlinkUser: (issuer, subject) =>
      change('user unlink', `${subject} at ${issuer}`, () => identities.unlinkUser(issuer, subject)),
    addLoginOrigin: origin => change('login-origin add', origin, () => identities.addLoginOrigin(origin)),
    listLoginOrigins: () => look(identities.listLoginOrigins),
    removeLoginOrigin: origin => change('login-origin remove', origin, () => identities.removeLoginOrigin(origin)),
    issueProcessCertificate: (role, name, request) =>
      change('certificate issue', `${role} ${name}`, () => processes.issueProcessCertificate(role, name, request)),
    listProcessCertificates: () => look(processes.listProcessCertificates),
    revokeProcessCertificate: serial =>
      change('certificate revoke', serial, () => processes.revokeProcessCertificate(serial)),
    createJob: request =>
      change('job create', `${request.account}: ${request.buckets.join(', ')}`, async () =>
        jobs.info(await jobs.create(request)),
      ),
    createExportJob: request =>
      change('export create', `${request.account}: ${request.buckets.join(', ')}`, async () =>
        jobs.info(await jobs.createExport(request)),
      ),
    listJobs: () => look(async () => Promise.all((await jobs.list()).map(jobs.info))),
    showJob: job =>
      look(async () => ({ ...(await jobs.info(await jobs.known(job))), devices: await devices.list(job) })),
    prepareDevice: request => change('device prepare', `job ${request.job}`, () => devices.prepare(request)),
    enrolStation: name => change('station enrol', name, () => stations.enrol(name)),
    beginIntake: job =>
      change('intake begin', job, async () => {
        await jobs.advance(job, 'begin-intake')
      }),
    endIntake: job =>
      change('intake end', job, async () => {
        await jobs.advance(job, 'end-intake')
      }),
    beginExport: job =>
      change('export begin', job, async () => {
        await jobs.advance(job, 'begin-export')
      }),
    endExport: job =>
      change('export end', job, async () => {
        await jobs.advance(job, 'end-export')
        exportEpochs.forget(job)
      }),
    closeJob: job =>
      change('job close', job, async () => {
        await jobs.advance(job, 'close')
        exportEpochs.forget(job)
      }),
    listExportOrders: job => look(async () => exportOrders.list((await jobs.known(job)).id)),
    withdrawExportOrder: order => change('export withdraw', order, () => exportOrders.withdraw(order)),
    createKey: (account, name) => change('key create', `${account}/${name}`, () => namedKeys.create(account, name)),
    disableKey: key => change('key disable', key, () => namedKeys.disable(key)),
    enableKey: key => change('key enable', key, () => namedKeys.enable(key)),
    grantKey: (key, kind, member) =>
      change('key grant', `${key} to ${kind} ${member}`, () => namedKeys.grant(key, kind, member)),
    revokeKey: (key, kind, member) =>
      change('key revoke', `${key} from ${kind} ${member}`, () => namedKeys.revoke(key, kind, member)),
    listKeys: account => look(() => masters.list(account)),
    rotateKey: (key, by) => change('key rotate', `${key}, asked by ${by}`, () => keyWorks.rotate(key, by)),
    keyWork: key => look(() => keyWorks.progress(key)),
    destroyKey: (key, by) => change('key destroy', `${key}, asked by ${by}`, () => keyWorks.destroy(key, by)),
    keyDestruction: (key, version) => look(() => keyWorks.record(key, version)),
    destroyJobKey: job => change('key destroy', job, () => jobs.destroyKey(job)),
    verifyAudit: () => look(audit.verify),
    status: () => look(status),
    caCertificate: async () => caCertificate,
  }
}

export function administrationError(cause: unknown): AdministrationError {
  if (cause instanceof AdministrationError) return cause
  if (cause instanceof ReleaseError && cause.fault === 'not-found')
    return new AdministrationError('not-found', cause.message, { cause })
  if (cause instanceof TokenError) return new AdministrationError('unavailable', `token: ${cause.message}`, { cause })
  if (cause instanceof FormatError)
    return new AdministrationError(cause.fault === 'tampered' ? 'tampered' : 'malformed', cause.message, { cause })
  return new AdministrationError('internal', 'the keystore failed inside; its log says where', { cause })
}

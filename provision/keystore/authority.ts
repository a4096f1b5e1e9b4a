import { hash } from 'node:crypto'
import type { Kysely } from 'kysely'
import type { DecisionSettings } from '../../access/acl/decide.ts'
import type { Administration } from '../../format/administration.ts'
import type { Login } from '../../format/login.ts'
import type { KeyRelease } from '../../format/release.ts'
import type { Token } from '../../hsm/token.ts'
import { apartSqliteFile } from '../database/dialect.ts'
import { type KeystoreSchema, keystoreMigrations } from '../database/keystore-schema.ts'
import { openDatabase } from '../database/open.ts'
import { accountsOf } from './accounts.ts'
import { aclObjectVerbs } from './acl-object-verbs.ts'
import { aclObjectsOf } from './acl-objects.ts'
import { administrationOf } from './administration.ts'
import { askedAclsOf } from './asked-acl.ts'
import { openAudit } from './audit.ts'
import { auditedRelease } from './audited.ts'
import { bearerProofsOf } from './bearer-proofs.ts'
import { fetchBounded } from './bounded-fetch.ts'
import { bucketRightsOf } from './bucket-rights.ts'
import { bucketVerbs } from './bucket-verbs.ts'
import { bucketsOf } from './buckets.ts'
import { codeFlowOf } from './code-flow.ts'
import { devicesOf } from './devices.ts'
import { directoryOf, namesOf } from './directory.ts'
import { dpopOf } from './dpop.ts'
import { epochsOf } from './epochs.ts'
import { exportEpochsOf } from './export-epochs.ts'
import { exportOrdersOf } from './export-orders.ts'
import { exportVerbs } from './export-verbs.ts'
import { exportsOf } from './exports.ts'
import { externalUsersOf } from './external-users.ts'
import { makeFacts, readFacts } from './facts.ts'
import { groupsOf } from './groups.ts'
import { identitiesOf } from './identities.ts'
import { intakeOf } from './intake.ts'
import { issuerKeysOf } from './issuer-keys.ts'
import { issuersOf } from './issuers.ts'
import { jobsOf } from './jobs.ts'
import { keyWorksOf } from './key-works.ts'
import { loginOf } from './login.ts'
import { loginOriginsOf } from './login-origins.ts'
import { masterKeysOf } from './master-keys.ts'
import { membershipsOf } from './memberships.ts'
import { namedKeysOf } from './named-keys.ts'
import { objectsOf } from './objects.ts'
import { passwordsOf } from './passwords.ts'
import { policyProofsOf } from './policy-proofs.ts'
import { type Processes, processesOf } from './processes.ts'
import { proofsOf } from './proofs.ts'
import { releaseVerbs } from './release.ts'
import { returnAddressesOf } from './return-address.ts'
import { sessionsOf } from './sessions.ts'
import { signedProofsOf } from './signed-proofs.ts'
import { openStateKey } from './state-key.ts'
import { stationsOf } from './stations.ts'
import { tokensOf } from './tokens.ts'
import { uploadTicketsOf } from './upload-tickets.ts'
import { usersOf } from './users.ts'

export type AuthorityConfig = {
  /** the authority's own SQLite file; made when missing, 0600 */
  databasePath: string
  /** stays the caller's to close */
  token: Token
  /** `bucket.<suffix>` hosts name the bucket; null: path style only */
  virtualHostSuffix: string | null
  /** as the public store decides */
  decision: DecisionSettings
  /** ms since 1970 */
  clock: () => number
  tokenProcessId: () => number | null
}

/** The provider's authority: whose keys, who may, and the record of both. */
export type Authority = {
  release: KeyRelease
  administration: Administration
  login: Login
  processes: Processes
  close(): Promise<void>
}

/** Makes the authority's keys in the token and its certificates. @throws TokenError "exists" - it was done before */
export async function initialiseAuthority(config: AuthorityConfig, commonName: string): Promise<void> {
  const database = await openKeystore(config.databasePath)
  try {
    await makeFacts(database, config.token, commonName, config.clock)
  } finally {
    await database.destroy()
  }
}

/**
 * @throws TokenError "configuration" - not initialised, or with another token
 * @throws FormatError "tampered" - the audit's head is not this authority's
 */
export async function openAuthority(config: AuthorityConfig): Promise<Authority> {
  const { token, clock, virtualHostSuffix, decision } = config
  const database = await openKeystore(config.databasePath)
  try {
    const facts = await readFacts(database, token)
    const state = await openStateKey(token, facts.sealedStateKey)
    const audit = await openAudit(database, state, clock)
    const accounts = accountsOf(database, token, state, clock)
    const users = usersOf(database, accounts, clock)
    const memberships = membershipsOf(database)
    const groups = groupsOf({ database, accounts, users, memberships, clock })
    const aclObjects = aclObjectsOf(database, clock)
    const jobs = jobsOf({ database, token, accounts, users, aclObjects, orderSpki: facts.grantSpki, clock })
    const masters = masterKeysOf(database, accounts)
    const epochs = epochsOf({ database, token, masters, clock })
    const keyWorks = keyWorksOf({ database, token, accounts, masters, epochs, audit, facts, clock })
    const signed = signedProofsOf({ accounts, clock })
    const policies = policyProofsOf({ accounts, clock })
    const issuers = issuersOf({ database, accounts, groups, state, clock })
    const issuerKeys = issuerKeysOf({ fetch: fetchBounded, clock })
    const tokens = tokensOf({ issuerKeys, clock })
    const externalUsers = externalUsersOf({ database, audit, clock })
    const bearer = bearerProofsOf({ issuers, tokens, dpop: dpopOf({ database, clock }), externalUsers })
    const uploads = uploadTicketsOf({ state, accounts, clock })
    const origins = loginOriginsOf(database, clock)
    const { tickets } = state
    const sessions = sessionsOf({ database, issuers, origins, tickets, clock })
    const hostSuffix = virtualHostSuffix
    const kinds = { signed, bearer, sessions, policies, uploads }
    const proofs = proofsOf({ accounts, users, memberships, ...kinds, hostSuffix, clock })
    const login = loginOf({
      ...{ issuers, origins, externalUsers, sessions, users, audit },
      returnAddresses: returnAddressesOf({ origins, state, clock }),
      codeFlow: codeFlowOf({ issuers, issuerKeys, tokens, tickets, fetch: fetchBounded, clock }),
      passwords: passwordsOf({ issuers, fetch: fetchBounded, clock }),
    })
    const buckets = bucketsOf(database, clock)
    const objects = objectsOf(database, { epochs, masters, accounts, users, buckets, jobs, aclObjects, clock })
    const stations = stationsOf(database, clock)
    const exportOrders = exportOrdersOf({ database, accounts, users, memberships, clock })
    const exportEpochs = exportEpochsOf({ token, clock })
    const carried = { orders: exportOrders, epochs: exportEpochs }
    const exports = exportsOf({ database, stations, jobs, ...carried, objects, facts, clock })
    const intake = intakeOf({ database, token, stations, masters, jobs, buckets, epochs, facts, clock })
    const devices = devicesOf({ database, token, jobs, facts, clock })
    const processes = processesOf({ database, token, facts, clock })
    const directory = directoryOf(users, groups)
    const bucketRights = bucketRightsOf(buckets, aclObjects, decision)
    const askedAcls = askedAclsOf({ directory, objects, aclObjects })
    const verbs = {
      ...releaseVerbs({
        proofs,
        uploads,
        accounts,
        masters,
        epochs,
        objects,
        buckets,
        bucketRights,
        askedAcls,
        decision,
      }),
      ...bucketVerbs({ proofs, buckets, bucketRights, askedAcls }),
      ...aclObjectVerbs({ proofs, objects, aclObjects, bucketRights, directory }),
      ...proofVerbs(proofs),
      ...exportVerbs({ proofs, jobs, orders: exportOrders, clock }),
      names: namesOf(database),
    }
    const caFingerprint = hash('sha256', facts.caCertificate, 'hex')
    const identities = identitiesOf({ issuers, externalUsers, users, origins })
    const status = async () => ({
      processId: process.pid,
      tokenProcessId: config.tokenProcessId() ?? 0,
      tokenOperations: token.operations,
      caFingerprint,
    })
    await keyWorks.resume()
    let closed: Promise<void> | null = null
    return {
      release: auditedRelease({ ...verbs, ...intake, ...exports }, audit),
      login,
      processes,
      administration: administrationOf({
        accounts,
        users,
        groups,
        identities,
        processes,
        jobs,
        devices,
        masters,
        namedKeys: namedKeysOf({ database, token, accounts, masters, users, groups, clock }),
        keyWorks,
        stations,
        exportOrders,
        exportEpochs,
        audit,
        status,
        caCertificate: facts.caCertificate,
      }),
      close() {
        exportEpochs.close()
        closed ??= keyWorks
          .close()
          .then(audit.close)
          .then(() => database.destroy())
        return closed
      },
    }
  } catch (error) {
    await database.destroy()
    throw error
  }
}

function openKeystore(path: string): Promise<Kysely<KeystoreSchema>> {
  return openDatabase<KeystoreSchema>(apartSqliteFile(path), keystoreMigrations)
}

function proofVerbs(proofs: ReturnType<typeof proofsOf>): Pick<KeyRelease, 'authenticate' | 'hold' | 'verifyChunks'> {
  return {
    authenticate: async proof => (await proofs.judge(proof)).principal,
    hold: proofs.hold,
    verifyChunks: proofs.verifyChunks,
  }
}

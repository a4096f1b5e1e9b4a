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
import { aclObjectVerbs } from './acl/acl-object-verbs.ts'
import { aclObjectsOf } from './acl/acl-objects.ts'
import { askedAclsOf } from './acl/asked-acl.ts'
import { bucketRightsOf } from './acl/bucket-rights.ts'
import { bucketVerbs } from './acl/bucket-verbs.ts'
import { bucketsOf } from './acl/buckets.ts'
import { administrationOf } from './administration.ts'
import { openAudit } from './audit.ts'
import { auditedRelease } from './audited.ts'
import { type Processes, processesOf } from './calls/processes.ts'
import { exportEpochsOf } from './exports/export-epochs.ts'
import { exportOrdersOf } from './exports/export-orders.ts'
import { exportVerbs } from './exports/export-verbs.ts'
import { exportsOf } from './exports/exports.ts'
import { makeFacts, readFacts } from './facts.ts'
import { devicesOf } from './jobs/devices.ts'
import { intakeOf } from './jobs/intake.ts'
import { jobsOf } from './jobs/jobs.ts'
import { stationsOf } from './jobs/stations.ts'
import { epochsOf } from './keys/epochs.ts'
import { keyWorksOf } from './keys/key-works.ts'
import { masterKeysOf } from './keys/master-keys.ts'
import { namedKeysOf } from './keys/named-keys.ts'
import { codeFlowOf } from './login/code-flow.ts'
import { loginOf } from './login/login.ts'
import { loginOriginsOf } from './login/login-origins.ts'
import { returnAddressesOf } from './login/return-address.ts'
import { sessionsOf } from './login/sessions.ts'
import { objectsOf } from './objects.ts'
import { accountsOf } from './people/accounts.ts'
import { directoryOf, namesOf } from './people/directory.ts'
import { groupsOf } from './people/groups.ts'
import { membershipsOf } from './people/memberships.ts'
import { usersOf } from './people/users.ts'
import { bearerProofsOf } from './proofs/bearer-proofs.ts'
import { dpopOf } from './proofs/dpop.ts'
import { policyProofsOf } from './proofs/policy-proofs.ts'
import { proofsOf } from './proofs/proofs.ts'
import { signedProofsOf } from './proofs/signed-proofs.ts'
import { uploadTicketsOf } from './proofs/upload-tickets.ts'
import { fetchBounded } from './providers/bounded-fetch.ts'
import { externalUsersOf } from './providers/external-users.ts'
import { identitiesOf } from './providers/identities.ts'
import { issuerKeysOf } from './providers/issuer-keys.ts'
import { issuersOf } from './providers/issuers.ts'
import { passwordsOf } from './providers/passwords.ts'
import { tokensOf } from './providers/tokens.ts'
import { releaseVerbs } from './release.ts'
import { openStateKey } from './state-key.ts'

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

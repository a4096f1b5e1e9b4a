/** An account with epochs, and a token that can be made to fail. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { type EpochId, newId } from '../../../format/bytes.ts'
import { parseDestructionFile, verifyDestruction } from '../../../format/destruction.ts'
import type { KeyWork } from '../../../format/master-keys.ts'
import type { Token } from '../../../hsm/token.ts'
import { certifiedKey, readCertificate } from '../../../verify/certificate.ts'
import {
  type AuthorityFixture,
  authorityFixture,
  faultOf,
  jobRequest,
  member,
  proofOf,
  type Sealed,
  type TestDevice,
  takeIn,
  testDevice,
} from './authority-fixture.ts'

export type Scene = {
  fixture: AuthorityFixture
  owner: Awaited<ReturnType<typeof member>>
  device: TestDevice
  sealed: Sealed
  /** reads it past what is in memory, or not */
  read(): Promise<string>
}

/** An account with one object that came by drive, and so many epochs. */
export async function sceneOf(epochs: number): Promise<Scene> {
  const fixture = await authorityFixture()
  const { administration, release } = fixture.authority
  const owner = await member(administration, 'acme')
  const { job } = await administration.createJob(jobRequest('acme'))
  const device = await testDevice(administration, job)
  const station = await takeIn(release, administration, device)
  for (let at = 1; at < epochs; at++)
    await release.reseal(station, await device.record({ epoch: newId<EpochId>(), key: randomBytes(32) }))
  const sealed = device.seal('photos', 'k', Buffer.from('content'))
  return {
    fixture,
    owner,
    device,
    sealed,
    async read() {
      const at = fixture.clock.now
      const proof = proofOf(owner, 'GET', sealed.stored.place, { at })
      let keys: Buffer[] = []
      const ask = async () => {
        keys = (await fixture.authority.release.release({ proof, object: sealed.stored, parts: [] })).keys
      }
      const fault = await faultOf(ask())
      return keys[0]?.equals(sealed.objectKey) ? 'the key' : fault
    },
  }
}

export async function ended(fixture: AuthorityFixture, key: string): Promise<KeyWork> {
  for (;;) {
    const work = await fixture.authority.administration.keyWork(key)
    if (work.state !== 'under-way') return work
    await delay(5)
  }
}

export function rowsOf({ directory }: AuthorityFixture) {
  const database = new Database(join(directory, 'keystore.sqlite'), { readonly: true })
  try {
    const select = 'SELECT version, count(*) AS epochs FROM epochs GROUP BY version ORDER BY version'
    return database.prepare<[], { version: number; epochs: number }>(select).all()
  } finally {
    database.close()
  }
}

/** What is done instead of one operation of the token, by its number from now on. */
export function tamper(token: Token, instead: (operation: string, at: number) => Promise<void> | void): () => void {
  const honest = {
    open: token.open.bind(token),
    destroyKey: token.destroyKey.bind(token),
    sign: token.sign.bind(token),
  }
  let at = 0
  token.open = async (...given) => {
    await instead('open', at++)
    return honest.open(...given)
  }
  token.destroyKey = async label => {
    await instead('destroyKey', at++)
    return honest.destroyKey(label)
  }
  token.sign = async (...given) => {
    await instead('sign', at++)
    return honest.sign(...given)
  }
  return () => Object.assign(token, honest)
}

export async function verified({ fixture }: Scene, file: Buffer) {
  const { signed, signerCertificate } = parseDestructionFile(file)
  const ca = readCertificate(await fixture.authority.administration.caCertificate(), 'ca')
  return verifyDestruction(signed, certifiedKey(signerCertificate, ca, fixture.clock.now, 'signer'))
}

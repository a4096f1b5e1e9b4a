/** Debian's slapd with a small directory of its own, on loopback, in a temporary directory. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'ldapts'
import { freePort } from '../../free-port.ts'

export type Slapd = { url: string; peopleBase: string; groupsBase: string; close(): Promise<void> }

const SUFFIX = 'dc=acme,dc=example'
const ADMIN = `cn=admin,${SUFFIX}`
const SCHEMAS = ['core', 'cosine', 'inetorgperson']

/** @param people - names and passwords; all of them are in the group `staff` */
export async function openSlapd(people: Record<string, string>): Promise<Slapd> {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-slapd-'))
  mkdirSync(join(directory, 'data'))
  const config = [
    ...SCHEMAS.map(name => `include /etc/ldap/schema/${name}.schema`),
    ...[
      `pidfile ${directory}/pid`,
      'modulepath /usr/lib/ldap',
      'moduleload back_mdb',
      'database mdb',
      `suffix "${SUFFIX}"`,
    ],
    ...[`rootdn "${ADMIN}"`, 'rootpw admin', `directory ${directory}/data`, 'maxsize 10485760'],
    ...['access to attrs=userPassword by anonymous auth by * none', 'access to * by * read', ''],
  ]
  writeFileSync(join(directory, 'slapd.conf'), config.join('\n'))
  const url = `ldap://127.0.0.1:${await freePort()}`
  const child = spawn('/usr/sbin/slapd', ['-f', join(directory, 'slapd.conf'), '-h', url, '-d', '0'], {
    stdio: 'ignore',
  })
  const slapd: Slapd = {
    ...{ url, peopleBase: `ou=people,${SUFFIX}`, groupsBase: `ou=groups,${SUFFIX}` },
    async close() {
      if (child.exitCode === null) {
        child.kill('SIGTERM')
        await once(child, 'exit')
      }
      rmSync(directory, { recursive: true, force: true })
    },
  }
  try {
    await fill(slapd, people)
    return slapd
  } catch (error) {
    await slapd.close()
    throw error
  }
}

async function fill({ url, peopleBase, groupsBase }: Slapd, people: Record<string, string>): Promise<void> {
  const client = await bound(url)
  await client.add(SUFFIX, { objectClass: ['dcObject', 'organization'], o: 'Acme', dc: 'acme' })
  for (const [ou, dn] of [
    ['people', peopleBase],
    ['groups', groupsBase],
  ] as const)
    await client.add(dn, { objectClass: ['organizationalUnit'], ou })
  const dns: string[] = []
  for (const [uid, userPassword] of Object.entries(people)) {
    const dn = `uid=${uid},${peopleBase}`
    await client.add(dn, {
      objectClass: ['inetOrgPerson'],
      uid,
      cn: uid,
      sn: uid,
      mail: `${uid}@acme.example`,
      userPassword,
    })
    dns.push(dn)
  }
  await client.add(`cn=staff,${groupsBase}`, { objectClass: ['groupOfNames'], cn: 'staff', member: dns })
  await client.unbind()
}

async function bound(url: string): Promise<Client> {
  for (let tries = 0; ; tries++) {
    const client = new Client({ url, timeout: 2000, connectTimeout: 2000 })
    try {
      await client.bind(ADMIN, 'admin')
      return client
    } catch (error) {
      if (tries > 50) throw error
      await delay(100)
    }
  }
}

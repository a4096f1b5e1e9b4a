/**
 * Debian's Ceph on loopback in a temporary directory: a monitor, an object daemon in memory and an S3 gateway, without systemd. Steps as
 * in Ceph's doc/install/manual-deployment.rst, in the foreground, so that what was started here ends here.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../free-port.ts'

export type Gateway = {
  url: string
  keys: { accessKey: string; secretKey: string }
  /** kill -9: what it had not answered nobody knows of */
  kill(): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

const COMMAND_MS = 120_000
const READY_MS = 180_000
const MEMORY_BYTES = 2 ** 30

export async function openGateway(): Promise<Gateway> {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-ceph-'))
  const config = join(directory, 'ceph.conf')
  const keyring = join(directory, 'keyring')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const keys = { accessKey: 'SEALIFT', secretKey: randomBytes(20).toString('hex') }
  const running: ChildProcess[] = []
  let gateway: ChildProcess | null = null

  const run = (program: string, args: string[], input?: string): string => {
    const done = spawnSync(program, ['-c', config, ...args], {
      encoding: 'utf8',
      timeout: COMMAND_MS,
      ...(input !== undefined && { input }),
    })
    if (done.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${done.stderr || done.error}`)
    return done.stdout
  }
  const begin = (program: string, ...args: string[]): ChildProcess => {
    const log = openSync(join(directory, `${program}.out`), 'a')
    const child = spawn(program, ['-c', config, '-f', ...args], { stdio: ['ignore', log, log] })
    closeSync(log)
    return child
  }
  const end = async (child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    const late = setTimeout(() => child.kill('SIGKILL'), 10_000)
    await once(child, 'exit')
    clearTimeout(late)
  }
  const answers = async (): Promise<boolean> => {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2000) }).catch(() => null)
    await answer?.arrayBuffer()
    return answer?.ok ?? false
  }
  const start = async (): Promise<void> => {
    const child = begin('radosgw', '-n', 'client.rgw.a')
    gateway = child
    for (const until = Date.now() + READY_MS; !(await answers()); await delay(500))
      if (Date.now() > until || child.exitCode !== null) throw new Error(`radosgw does not answer: see ${directory}`)
  }
  const close = async (): Promise<void> => {
    if (gateway !== null) await end(gateway, 'SIGTERM')
    for (const child of running.reverse()) await end(child, 'SIGTERM')
    rmSync(directory, { recursive: true, force: true })
  }

  try {
    for (const name of ['mon', 'osd', 'rgw', 'run']) mkdirSync(join(directory, name))
    const fsid = randomUUID()
    const monitors = [await freePort(), await freePort()] as const
    const address = `[v2:127.0.0.1:${monitors[0]},v1:127.0.0.1:${monitors[1]}]`
    writeFileSync(config, configOf({ directory, fsid, address, port }))
    run('ceph-authtool', [keyring, '--create-keyring', '--gen-key', '-n', 'mon.', '--cap', 'mon', 'allow *'])
    const all = ['mon', 'osd', 'mgr'].flatMap(name => ['--cap', name, 'allow *'])
    run('ceph-authtool', [keyring, '--gen-key', '-n', 'client.admin', ...all])
    const map = join(directory, 'monmap')
    run('monmaptool', ['--create', '--clobber', '--fsid', fsid, '--addv', 'a', address, map])
    run('ceph-mon', ['-i', 'a', '--mkfs', '--monmap', map, '--keyring', keyring])
    running.push(begin('ceph-mon', '-i', 'a'))
    run('ceph', ['mon', 'stat'])

    const [uuid, secret] = [randomUUID(), run('ceph-authtool', ['--gen-print-key']).trim()]
    run('ceph', ['osd', 'new', uuid, '0', '-i', '-'], JSON.stringify({ cephx_secret: secret }))
    const osdKeyring = join(directory, 'osd', 'keyring')
    run('ceph-authtool', ['--create-keyring', osdKeyring, '--name', 'osd.0', '--add-key', secret])
    run('ceph-osd', ['-i', '0', '--mkfs', '--osd-uuid', uuid])
    running.push(begin('ceph-osd', '-i', '0'))

    const rights = ['mon', 'allow rw', 'osd', 'allow rwx']
    run('ceph', ['auth', 'get-or-create', 'client.rgw.a', ...rights, '-o', join(directory, 'rgw', 'keyring')])
    await start()
    const user = ['user', 'create', '--uid', 'sealift', '--display-name', 'sealift']
    run('radosgw-admin', [...user, '--access-key', keys.accessKey, '--secret-key', keys.secretKey])
  } catch (error) {
    await close()
    throw error
  }
  return {
    ...{ url, keys, start, close },
    async kill() {
      if (gateway !== null) await end(gateway, 'SIGKILL')
    },
  }
}

function configOf(of: { directory: string; fsid: string; address: string; port: number }): string {
  const { directory, fsid, address, port } = of
  return `[global]
fsid = ${fsid}
mon host = ${address}
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
keyring = ${directory}/keyring
run dir = ${directory}/run
admin socket = ${directory}/run/$name.asok
log file = ${directory}/run/$name.log
mon cluster log file = ${directory}/run/cluster.log
pid file = ${directory}/run/$name.pid
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
osd pool default pg num = 8
osd pool default pgp num = 8
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 2
mon data avail crit = 1
auth allow insecure global id reclaim = false
[mon.a]
mon data = ${directory}/mon
[osd]
osd data = ${directory}/osd
keyring = ${directory}/osd/keyring
osd objectstore = memstore
memstore device bytes = ${MEMORY_BYTES}
[client.rgw.a]
keyring = ${directory}/rgw/keyring
rgw data = ${directory}/rgw
# without tcp_nodelay a small answer waits 40 ms for the acknowledgement of the one before
rgw frontends = beast endpoint=127.0.0.1:${port} tcp_nodelay=1
`
}

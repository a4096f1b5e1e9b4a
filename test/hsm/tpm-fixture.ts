/**
 * A software TPM 2.0 behind tpm2-pkcs11: swtpm, and tpm2-abrmd as resource manager on a message bus of its own (without one
 * the TPM is out of object slots after three keys). Debian: swtpm tpm2-abrmd libtss2-tcti-tabrmd0 libtpm2-pkcs11-1 dbus.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  accessSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { initialiseToken, openPkcs11Token, type Pkcs11Token, TOKEN_TIMEOUTS } from '../../hsm/pkcs11-token.ts'

const PIN = Buffer.from('a PIN of the test')
const STEPS_MAX = 400
const ATTEMPTS_MAX = 5

export type TpmParts = { module: string; tcti: string; swtpm: string; abrmd: string; bus: string }

/** What is installed; or the names of what is missing. */
export function tpmParts(): TpmParts | string[] {
  const parts = {
    swtpm: program('swtpm'),
    abrmd: program('tpm2-abrmd'),
    bus: program('dbus-daemon'),
    module: library('libtpm2_pkcs11.so.1') ?? library('pkcs11/libtpm2_pkcs11.so'),
    tcti: process.env.SEALIFT_TEST_TABRMD ?? library('libtss2-tcti-tabrmd.so.0'),
  }
  const { swtpm, abrmd, bus, module, tcti } = parts
  if (swtpm && abrmd && bus && module && tcti) return { swtpm, abrmd, bus, module, tcti }
  return Object.entries(parts).flatMap(([name, found]) => (found === undefined ? [name] : []))
}

export async function tpmToken(
  parts: TpmParts,
  label: string,
): Promise<{ token: Pkcs11Token; remove(): Promise<void> }> {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-tpm-'))
  const running: ChildProcess[] = []
  const start = (command: string, args: string[], environment: Record<string, string> = {}) => {
    const child = spawn(command, args, {
      stdio: 'ignore',
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', ...environment },
    })
    running.push(child)
    return child
  }
  const stop = async () => {
    for (const child of running.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    }
    rmSync(directory, { recursive: true })
  }
  try {
    for (const name of ['state', 'store']) mkdirSync(join(directory, name), { mode: 0o700 })
    const startTpm = async (attempt = 1): Promise<number> => {
      const port = await freePortPair()
      const child = start(parts.swtpm, [
        'socket',
        '--tpm2',
        ...['--tpmstate', `dir=${join(directory, 'state')}`],
        ...['--server', `type=tcp,port=${port}`],
        ...['--ctrl', `type=tcp,port=${port + 1}`],
        ...['--flags', 'not-need-init,startup-clear'],
      ])
      const up = () => [port, port + 1].every(listening)
      await until(() => up() || child.exitCode !== null, 'swtpm')
      if (up() && child.exitCode === null) return port
      // somebody else took one of the two ports first
      if (attempt === ATTEMPTS_MAX) throw new Error(`swtpm ended with ${child.exitCode}`)
      return startTpm(attempt + 1)
    }
    const port = await startTpm()
    const socket = join(directory, 'bus')
    writeFileSync(join(directory, 'bus.conf'), busConfiguration(socket))
    start(parts.bus, ['--nofork', '--config-file', join(directory, 'bus.conf')])
    await until(() => existsSync(socket), 'the message bus')
    const environment = {
      DBUS_SESSION_BUS_ADDRESS: `unix:path=${socket}`,
      TPM2_PKCS11_STORE: join(directory, 'store'),
      TPM2_PKCS11_TCTI: `${parts.tcti}:bus_type=session`,
      TPM2_PKCS11_LOG_LEVEL: '0',
      TSS2_LOG: 'all+NONE',
    }
    start(parts.abrmd, ['--session', '--allow-root', `--tcti=swtpm:host=127.0.0.1,port=${port}`], environment)
    const config = { environment, ...TOKEN_TIMEOUTS, modulePath: parts.module, label }
    const pins = { securityOfficer: Buffer.from('security officer'), user: PIN }
    await patiently(() => initialiseToken(config, pins)) // the resource manager takes a moment to get onto the bus
    const uri = { token: label, modulePath: parts.module }
    const token = await openPkcs11Token({ environment, ...TOKEN_TIMEOUTS, uri, pin: PIN })
    return {
      token,
      async remove() {
        await token.close()
        await stop()
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

function busConfiguration(socket: string): string {
  return `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=${socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
`
}

function program(name: string): string | undefined {
  return ['/usr/bin', '/usr/sbin', '/bin', '/sbin'].map(each => join(each, name)).find(usable)
}

function library(name: string): string | undefined {
  const places = readdirSync('/usr/lib').filter(each => each.endsWith('-linux-gnu'))
  return places.map(each => join('/usr/lib', each, name)).find(usable)
}

function usable(path: string): boolean {
  try {
    accessSync(path)
    return true
  } catch {
    return false
  }
}

/** A free port whose successor is free too: the resource manager takes swtpm's control port to be the next one. */
async function freePortPair(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return listening(address.port + 1) ? freePortPair() : address.port
}

/** Read off the kernel's table: swtpm takes its first connection for the TPM's only user. */
function listening(port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  return new RegExp(`:${hex} 00000000:0000 0A `).test(readFileSync('/proc/net/tcp', 'latin1'))
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let n = 0; !holds(); n++) {
    if (n === STEPS_MAX) throw new Error(`${what} did not start`)
    await delay(50)
  }
}

async function patiently<Result>(doing: () => Promise<Result>): Promise<Result> {
  for (let n = 0; ; n++) {
    try {
      return await doing()
    } catch (error) {
      if (n === 10) throw error
      await delay(200)
    }
  }
}

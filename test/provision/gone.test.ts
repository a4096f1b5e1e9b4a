// timeout: 60s, test 30s
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CommandFault } from '../../provision/command-fault.ts'
import { IntakeError } from '../../provision/intake/finding.ts'
import { heldReport } from '../../provision/intake/report.ts'
import { askIntake, serveIntake } from '../../provision/join/intake-socket.ts'
import { type CommandName, commandPath } from '../quickstart/commands.ts'

const test = suite('whoever listens may go')
const directory = mkdtempSync(join(tmpdir(), 'sealift-gone-'))
const asked = { drives: ['/media/drive'], freshness: null, level: 'key' as const, check: false }
const progress = { phase: 'walk' as const, done: 1, total: 2, bytesPerSecond: 0 }
const about = { job: 'j', device: 'd', freshness: 'not-shown' as const, seal: null, drives: [] }
test.after(() => rmSync(directory, { recursive: true }))

for (const name of ['sealift', 'sealift-provider', 'sealift-verify'] satisfies CommandName[])
  for (const stream of ['stdout', 'stderr'] as const)
    test(`${name} whose ${stream} is read by nobody ends as it would have ended`, async () => {
      // help goes to stdout, the fault of an unknown word to stderr
      const child = spawn(commandPath(name), [stream === 'stdout' ? '--help' : 'no-such-word'], { stdio: 'pipe' })
      child[stream].destroy()
      let said = ''
      child[stream === 'stdout' ? 'stderr' : 'stdout'].on('data', chunk => {
        said += String(chunk)
      })
      const [code] = await once(child, 'close')
      assert.is(code, stream === 'stdout' ? 0 : 2)
      assert.is(said, '')
    })

test('a client that goes while drives are taken in stops that, and the station answers the next one', async () => {
  const socket = join(directory, 'a.sock')
  const seen: string[] = []
  const served = await serveIntake(socket, async (_, tell, signal) => {
    if (seen.push('asked') > 1) return heldReport(about, [])
    tell(progress)
    await once(signal, 'abort')
    // what is under way goes on to its next commit point, and tells so
    for (let at = 0; at < 20; at++) {
      tell(progress)
      await delay(5)
    }
    seen.push('stopped')
    throw new IntakeError('stopped', 'stopped')
  })
  try {
    const outgoing = request({ socketPath: socket, method: 'POST', path: '/' })
    outgoing.end(JSON.stringify(asked))
    const [incoming] = await once(outgoing, 'response')
    await once(incoming, 'data')
    incoming.on('error', () => undefined)
    outgoing.on('error', () => undefined)
    outgoing.destroy()
    const report = await askIntake(socket, asked, () => undefined)
    assert.is(report?.outcome, 'held')
    assert.equal(seen, ['asked', 'stopped', 'asked'])
  } finally {
    await served.close()
  }
})

test('a provider that goes in the middle of an answer is named, with the exit code of "again"', async () => {
  const socket = join(directory, 'b.sock')
  const server = createServer((_, outgoing) => {
    outgoing.write(`${JSON.stringify({ progress })}\n`)
    setTimeout(() => outgoing.destroy(), 50)
  })
  server.listen(socket)
  await once(server, 'listening')
  try {
    let told = 0
    const error = await askIntake(socket, asked, () => void told++).catch((cause: unknown) => cause)
    assert.is(told, 1)
    assert.instance(error, CommandFault)
    assert.is((error as CommandFault).exitCode, 75)
  } finally {
    server.close()
  }
})

test.run()

/**
 * The token process: a child that holds the vendor's module, so that one that hangs or crashes takes nothing else along.
 *
 * Its only ways in and out are descriptors 3 (requests, replies) and 4 (PIN); it ends when its parent does.
 */
import { Socket } from 'node:net'
import { TokenError } from '../token.ts'
import { tokenError } from './faults.ts'
import { destroyKey, importSymmetric, makePair, makeSymmetric, publicKey } from './keys.ts'
import { decodeMessage, encodeMessage, lineReader, type Reply, type Request } from './messages.ts'
import { health, open, random, seal, sign } from './operations.ts'
import { initialiseToken, loadModule, Session } from './session.ts'

const PIN_BYTES_MAX = 1024

const channel = new Socket({ fd: 3, readable: true, writable: true })
const pins = await readPins()
let session: Session | null = null

channel.on(
  'data',
  lineReader(line => channel.write(encodeMessage(reply(decodeMessage<Request>(line))))),
)
channel.on('close', () => process.exit(0))
channel.on('error', () => process.exit(1))

async function readPins(): Promise<string[]> {
  let text = ''
  for await (const chunk of new Socket({ fd: 4, readable: true, writable: false })) {
    text += String(chunk)
    if (text.length > PIN_BYTES_MAX) process.exit(1)
  }
  return text.split('\n')
}

function reply(request: Request): Reply {
  const before = session?.used ?? 0
  const used = () => (session?.used ?? 0) - before
  try {
    const answer = perform(request)
    return { answer, used: used() }
  } catch (cause) {
    const error = tokenError(cause, request.op)
    session?.drop()
    return { fault: error.fault, message: error.message, used: used() }
  }
}

function perform(request: Request): unknown {
  switch (request.op) {
    case 'attach':
      session = new Session(loadModule(request.params.module), request.params.select, pins[0] ?? '')
      session.handle
      return session.identity()
    case 'initialise':
      return initialiseToken(loadModule(request.params.module), request.params.slotId, request.params.label, {
        securityOfficer: pins[0] ?? '',
        user: pins[1] ?? '',
      })
    default:
      if (session === null) throw new TokenError('configuration', 'no token attached')
      return performOn(session, request)
  }
}

function performOn(on: Session, request: Exclude<Request, { op: 'attach' | 'initialise' }>): unknown {
  const { op, params } = request
  switch (op) {
    case 'changePin':
      on.changePin(params.newPin)
      return null
    case 'makePair':
      return makePair(on, params.label, params.purpose, params.lasting)
    case 'makeSymmetric':
      makeSymmetric(on, params.label, params.suite, params.mechanism)
      return null
    case 'importSymmetric':
      importSymmetric(on, params.label, params.suite, params.mechanism, params.value)
      return null
    case 'publicKey':
      return publicKey(on, params.label)
    case 'destroy':
      return destroyKey(on, params.label)
    case 'sign':
      return sign(on, params.label, params.digest)
    case 'open':
      return open(on, params.label, params.sealed, params.context, params.mechanism)
    case 'seal':
      return seal(on, params.label, params.suite, params.mechanism, params.secret, params.context)
    case 'random':
      return random(on, params.length)
    case 'health':
      health(on)
      return null
  }
}

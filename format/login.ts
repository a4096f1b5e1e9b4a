import { args, type Calls, count, listOf, nothing, nullable, oneOf, record, text } from './codec.ts'
import { ISSUER_KINDS } from './identity.ts'

/**
 * What the pages for logging in ask of the authority: it alone speaks to identity providers, and makes tickets of sessions. Over a socket of
 * its own, framed as `KeyRelease` is. `host`: as the browser's Host header names it. @see FORMAT.md §13.6
 */
export interface Login {
  /** Origins where browsers may log in; pages of ours are served there, and nothing that could run there as one of them. */
  origins(): Promise<string[]>
  choices(): Promise<LoginChoice[]>
  /** The return address signed, for a browser that was refused at `path`; null: nobody logs in at that host. */
  offer(host: string, path: string): Promise<string | null>
  /** @param back - as `offer` made it; anything else leads to the session's page. Faults `off`, `malformed`, `unavailable`. */
  begin(host: string, issuer: string, back: string): Promise<LoginBegun>
  /** What the provider sent the browser back with. Faults `off`, `malformed`, `refused`, `unavailable`. */
  finish(host: string, attempt: string, answer: LoginAnswer): Promise<Session>
  /** Faults `off`, `refused`, `slow-down`, `unavailable`. */
  password(request: PasswordLogin): Promise<Session>
  /** Whose session it is; null: nobody's any more. */
  whose(ticket: string): Promise<string | null>
  /** The ticket proves nothing any more. Doing it again changes nothing. */
  end(ticket: string): Promise<void>
}

export type LoginChoice = { issuer: string; name: string; kind: (typeof ISSUER_KINDS)[number] }
/** `attempt`: for the browser to keep until it comes back, sealed. */
export type LoginBegun = { location: string; attempt: string }
export type LoginAnswer = { code: string | null; state: string | null; error: string | null; issuer: string | null }
export type PasswordLogin = {
  host: string
  /** id; null: of a client that names none: the only one, or `name/` before the user's name */
  issuer: string | null
  username: string
  password: string
  /** of the caller, by which failures are counted too */
  address: string
  back: string
}
/** `back`: absolute, of an origin where browsers log in. `until`: ms since 1970. */
export type Session = { ticket: string; until: number; back: string }

export const TICKET_MAX = 2 << 10
export const SESSION_SECONDS = 3600
export const LOGIN_FAULTS = [
  'off', // nobody logs in at that host
  'malformed', // no answer to what was begun here, or too late
  'refused', // the provider says no; why is not told
  'slow-down', // too many failures
  'unavailable', // the provider or the keystore does not answer
] as const
export type LoginFault = (typeof LOGIN_FAULTS)[number]

export class LoginError extends Error {
  override readonly name = 'LoginError'
  readonly fault: LoginFault

  constructor(fault: LoginFault, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.fault = fault
  }
}

const host = text(260)
const path = text(16 << 10)
const back = text(18 << 10)
const ticket = text(TICKET_MAX)
const word = nullable(text(4 << 10))
const session = record<Session>({ ticket, until: count(), back })

export const LOGIN_CALLS: Calls<Login> = {
  origins: { ask: args(), answer: listOf(host, 1000) },
  choices: {
    ask: args(),
    answer: listOf(record<LoginChoice>({ issuer: text(128), name: text(64), kind: oneOf(ISSUER_KINDS) }), 1000),
  },
  offer: { ask: args(host, path), answer: nullable(back) },
  begin: {
    ask: args(host, text(128), back),
    answer: record<LoginBegun>({ location: text(8 << 10), attempt: text(32 << 10) }),
  },
  finish: {
    ask: args(host, text(32 << 10), record<LoginAnswer>({ code: word, state: word, error: word, issuer: word })),
    answer: session,
  },
  password: {
    ask: args(
      record<PasswordLogin>({
        ...{ host, issuer: nullable(text(128)), username: text(256), password: text(1024), address: text(64), back },
      }),
    ),
    answer: session,
  },
  whose: { ask: args(ticket), answer: nullable(text(260)) },
  end: { ask: args(ticket), answer: nothing },
}

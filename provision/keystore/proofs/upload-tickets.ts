import { hash, timingSafeEqual } from 'node:crypto'
import { decodeCbor, encodeCbor, Fields } from '../../../format/cbor.ts'
import { type ObjectPlace, type Principal, ReleaseError } from '../../../format/release.ts'
import type { UploadProof } from '../../../format/request-proof.ts'
import type { Accounts } from '../people/accounts.ts'
import type { StateKey } from '../state-key.ts'
import type { Believed } from './believed.ts'

/**
 * Tickets of uploads that are sent over days under one address: given when the upload begins, to whoever proved then that he may, and good
 * for the parts and the object of that upload alone. The age of what he proved it with is forgiven by it; nothing else is.
 */
export type UploadTickets = {
  /** @param creation - the proof that began it, from which the ACL is taken */
  mint(by: Principal, creation: Uint8Array, place: ObjectPlace, upload: string): Buffer
  /** Faults `bad-proof`, `expired`, `disabled`. */
  judge(proof: UploadProof): Promise<Believed>
}

export const UPLOAD_DAYS = 7
const LIFE_MS = UPLOAD_DAYS * 86_400_000
const MAC_BYTES = 32

/** `creation`: SHA-256 */
type Ticket = {
  user: string
  account: string
  accessKey: string
  bucket: string
  key: string
  upload: string
  at: number
  creation: Buffer
}

export function uploadTicketsOf(on: {
  state: Pick<StateKey, 'ticketMac'>
  accounts: Pick<Accounts, 'credential'>
  clock: () => number
}): UploadTickets {
  const { state, accounts, clock } = on
  return {
    mint({ user, account, accessKey }, creation, { bucket, key }, upload) {
      const said = { user, account, accessKey, bucket, key, upload, at: clock() }
      const body = encodeCbor({ ...said, creation: hash('sha256', creation, 'buffer') })
      return Buffer.concat([state.ticketMac(body), body])
    },
    async judge({ ticket }) {
      const mac = ticket.subarray(0, MAC_BYTES)
      const body = ticket.subarray(MAC_BYTES)
      if (mac.length < MAC_BYTES || !timingSafeEqual(mac, state.ticketMac(body)))
        throw new ReleaseError('bad-proof', 'no ticket of an upload that was given here')
      const { user, account, accessKey, at } = readTicket(ticket)
      if (clock() >= at + LIFE_MS) throw new ReleaseError('expired', 'the upload began more than a week ago')
      const credential = accessKey === '' ? null : await accounts.credential(accessKey)
      if (accessKey !== '' && (credential === null || credential.disabled))
        throw new ReleaseError('disabled', 'the access key that began the upload is switched off')
      return { user, account, accessKey, until: at + LIFE_MS, claimed: null, aclWrites: 'refused' }
    },
  }
}

/** What a ticket says, believed or not. @throws FormatError */
export function readTicket(ticket: Uint8Array): Ticket {
  const fields = new Fields(decodeCbor(ticket.subarray(MAC_BYTES), 4096, 'ticket'), 'ticket')
  const out = {
    user: fields.text('user', 128),
    account: fields.text('account', 128),
    accessKey: fields.text('accessKey', 128),
    bucket: fields.text('bucket', 255),
    key: fields.text('key', 1024),
    upload: fields.text('upload', 128),
    at: fields.count('at'),
    creation: fields.bytes('creation', 32),
  }
  fields.end()
  return out
}

/** Whether this is the proof that the upload was begun with. */
export function isCreation({ ticket }: UploadProof, creation: Uint8Array): boolean {
  return readTicket(ticket).creation.equals(hash('sha256', creation, 'buffer'))
}

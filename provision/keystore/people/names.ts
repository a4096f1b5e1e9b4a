import { randomBytes } from 'node:crypto'
import { domainOf } from '../../../access/acl/domain.ts'
import { AdministrationError } from '../../../format/administration.ts'

const NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._@-]{0,63}$/u
const EMAIL = /^[^\s@<>",;:\\]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$/

/** Of an account, user or group: 16 hex digits, so that Google's documents can hold it. */
export function newPrincipalId(): string {
  return randomBytes(8).toString('hex')
}

/** @throws AdministrationError "malformed" */
export function checkedName(name: string): string {
  if (!NAME.test(name))
    throw new AdministrationError(
      'malformed',
      'name: want 1 to 64 letters, digits, blanks and ._@-, a letter or digit first',
    )
  return name
}

/** Lower case. @throws AdministrationError "malformed" */
export function checkedEmail(given: string): string {
  const email = given.trim().toLowerCase()
  if (!EMAIL.test(email)) throw new AdministrationError('malformed', `${JSON.stringify(given)} is no e-mail address`)
  return email
}

/** Lower case. @throws AdministrationError "malformed" */
export function checkedDomain(given: string): string {
  const domain = domainOf(given.trim())
  if (domain === null)
    throw new AdministrationError('malformed', `${JSON.stringify(given)} is no domain: want a name like example.com`)
  return domain
}

import { type Acl, effective, FULL, R, RA, type Rights, W, WA } from './acl.ts'

/** Roles and permissions are views of bits (rules 1 to 4). */

export type RoleOn = 'bucket' | 'object'
export const ROLES = ['READ', 'WRITE', 'FULL_CONTROL'] as const
export type Role = (typeof ROLES)[number]

/** Bits of a Google role; null: there is no such role on objects (rule 2). */
export function rightsOfRole(role: Role, on: RoleOn): Rights | null {
  if (role === 'READ') return R
  if (role === 'FULL_CONTROL') return FULL
  return on === 'bucket' ? R | W : null
}

/**
 * The greatest role that the bits contain.
 * @returns role null: they contain none; `exact`: they are that role and no more (rule 4)
 */
export function roleOfRights(rights: Rights, on: RoleOn): { role: Role | null; exact: boolean } {
  // W means nothing on an object
  const bits = on === 'object' ? effective(rights) & ~W : effective(rights)
  for (const role of [...ROLES].reverse()) {
    const own = rightsOfRole(role, on)
    if (own === null) continue
    const wanted = on === 'object' ? effective(own) & ~W : effective(own)
    if ((bits & wanted) === wanted) return { role, exact: bits === wanted }
  }
  return { role: null, exact: bits === 0 }
}

/** Whether Google's document can say all of it. */
export function isExactInRoles(acl: Acl, on: RoleOn): boolean {
  return acl.entries.every(({ rights }) => roleOfRights(rights, on).exact)
}

/** Amazon's permissions in the order in which its clients want to read those of one grantee. */
export const PERMISSIONS = [
  ['READ', R],
  ['WRITE', W],
  ['READ_ACP', RA],
  ['WRITE_ACP', WA],
  ['FULL_CONTROL', FULL],
] as const
export type Permission = (typeof PERMISSIONS)[number][0]

export function rightsOfPermission(text: string): Rights | null {
  return PERMISSIONS.find(([name]) => name === text)?.[1] ?? null
}

/** One grant each (rule 3). */
export function permissionsOf(rights: Rights): Permission[] {
  return PERMISSIONS.filter(([, bit]) => (rights & bit) !== 0).map(([name]) => name)
}

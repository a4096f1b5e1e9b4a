/** Who may import whom. A room is the longest folder named here that a file lies in; a room may always import itself. */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  format: [],
  access: [],
  hsm: ['format'],
  store: ['format', 'access'],
  'store/s3': ['store', 'access'],
  agent: ['format', 'access', 'hsm', 'store', 'store/s3'],
  provision: ['format', 'access', 'hsm', 'store', 'store/s3'],
  'provision/database': [],
  'provision/keystore': ['format', 'access', 'hsm', 'provision/database'],
  'provision/intake': ['format', 'access', 'store', 'provision/database'],
  'provision/hosted': ['format', 'access', 'store', 'store/s3', 'provision/database'],
  /** parts of the provider's main: where its rooms meet */
  'provision/join': [
    'format',
    'access',
    'hsm',
    'store',
    'store/s3',
    'provision',
    'provision/hosted',
    'provision/intake',
  ],
  'provision/console': [],
  verify: ['format'],
  'appliance-image': [],
}

/**
 * Rooms that may import anything, and that nobody imports; but benches stand on the tests' fixtures (a device, the commands as processes),
 * and test/bench/ tests the pure parts of benches.
 */
export const OUTSIDE: readonly string[] = ['test', 'bench']

/**
 * Contracts: they may stand without an importer. Everything else must be reachable from a main or a test.
 */
export const CONTRACTS: readonly string[] = [
  'format/fault.ts',
  'hsm/token.ts',
  'store/object-store.ts',
  'store/index-store.ts',
]

/** Processes started by path from outside the graph (a unit file, a shell script); package.json's scripts count by themselves. */
export const ENTRIES: readonly string[] = []

/** Besides mains, who may read the environment: file and reason. */
export const READS_ENVIRONMENT: ReadonlyMap<string, string> = new Map()

/** A main joins rooms and reads the environment: `main.ts`, `token-main.ts`. */
export function isMain(file: string): boolean {
  return /(^|\/)(main|[a-z0-9-]+-main)\.tsx?$/.test(file)
}

export function roomOf(file: string): string | null {
  const rooms = [...Object.keys(MAY_IMPORT), ...OUTSIDE].filter(room => file.startsWith(`${room}/`))
  return rooms.sort((a, b) => b.length - a.length)[0] ?? null
}

/** Why `from` must not import `to` (both paths from the top); null when it may. */
export function forbidden(from: string, to: string): string | null {
  const [fromRoom, toRoom] = [roomOf(from), roomOf(to)]
  if (fromRoom === null) return `${from} lies in no room`
  if (toRoom === null) return `${from} imports ${to}, which lies in no room`
  if (fromRoom === toRoom) return null
  if (fromRoom === 'bench' && toRoom === 'test' && !to.endsWith('.test.ts')) return null
  if (from.startsWith('test/bench/') && toRoom === 'bench') return null
  if (OUTSIDE.includes(toRoom)) return `${from} imports ${to}: nobody imports ${toRoom}/`
  if (OUTSIDE.includes(fromRoom)) return null
  if (MAY_IMPORT[fromRoom]?.includes(toRoom)) return null
  if (fromRoom === 'provision' && toRoom.startsWith('provision/') && isMain(from)) return null
  return `${from} imports ${to}: ${fromRoom}/ may import ${MAY_IMPORT[fromRoom]?.join(', ') || 'nothing of ours'}`
}

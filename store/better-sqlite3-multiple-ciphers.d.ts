// the package's own types stand outside its "exports": what we use of them, on top of the ones of better-sqlite3
declare module 'better-sqlite3-multiple-ciphers' {
  import type BetterSqlite3 from 'better-sqlite3'

  type Keyed = BetterSqlite3.Database & { key(key: Buffer): number; rekey(key: Buffer): number }
  const Database: { new (filename?: string | Buffer, options?: BetterSqlite3.Options): Keyed }
  export default Database
}

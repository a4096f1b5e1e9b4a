import { CompiledQuery, type Kysely, type QueryExecutorProvider, sql } from 'kysely'

/**
 * Rows of one statement: a statement of each size is compiled once. Above the largest several statements are run, below it fewer rows.
 * 256 rows of 24 columns stay far below the 32,766 values that SQLite takes in one, and the 65,535 of PostgreSQL.
 */
const SIZES = [256, 64, 16, 4, 1] as const

/** A database, or a transaction of it. */
type On = QueryExecutorProvider & Pick<Kysely<unknown>, 'executeQuery'>
export type Inserter<Row> = (on: On, rows: readonly Row[]) => Promise<void>

/**
 * Inserts many rows of one shape. Kysely builds and compiles a statement anew for every call, at about a microsecond a value; here its
 * text is made once for each size, in the dialect of the database that it is first used on.
 */
export function inserter<Row extends object>(table: string, columns: readonly (keyof Row & string)[]): Inserter<Row> {
  const texts = new Map<number, string>()
  const textOf = (on: On, size: number): string => {
    const known = texts.get(size)
    if (known !== undefined) return known
    const tuple = sql`(${sql.join(columns.map(() => sql.val(0)))})`
    const statement = sql`insert into ${sql.table(table)} (${sql.join(columns.map(each => sql.ref(each)))}) values ${sql.join(Array.from({ length: size }, () => tuple))}`
    const text = statement.compile(on).sql
    texts.set(size, text)
    return text
  }
  return async (on, rows) => {
    for (let at = 0; at < rows.length; ) {
      const size = SIZES.find(each => each <= rows.length - at) ?? 1
      const values: unknown[] = []
      for (const row of rows.slice(at, at + size)) for (const column of columns) values.push(row[column])
      await on.executeQuery(CompiledQuery.raw(textOf(on, size), values))
      at += size
    }
  }
}

/** Ascending whole numbers as stretches without a gap: what is changed by number is changed stretch by stretch. */
export function stretches(numbers: readonly number[]): { first: number; last: number }[] {
  const out: { first: number; last: number }[] = []
  for (const number of numbers) {
    const open = out.at(-1)
    if (open !== undefined && open.last + 1 === number) open.last = number
    else out.push({ first: number, last: number })
  }
  return out
}

import { setImmediate as turn } from 'node:timers/promises'
import { CompiledQuery, type Kysely, type QueryExecutorProvider, type RawBuilder, sql } from 'kysely'
import type { Look } from './looking.ts'

/**
 * Many rows in few statements. Kysely builds and compiles a statement anew for every call, at about a microsecond a value; here its text is
 * made once for each number of rows, in the dialect of the database that it is first used on, and run with other values.
 *
 * 256 rows of 26 columns stay far below the 32,766 values that SQLite takes in one statement, and the 65,535 of PostgreSQL.
 */
const SIZES = [256, 64, 16, 4, 1] as const

/** A database, or a transaction of it. */
type On = QueryExecutorProvider & Pick<Kysely<unknown>, 'executeQuery'>

/** Inserts rows of one shape. */
export function inserter<Row extends object>(
  table: string,
  columns: readonly (keyof Row & string)[],
): (on: On, rows: readonly Row[]) => Promise<void> {
  const tuple = sql`(${sql.join(columns.map(() => sql.val(0)))})`
  const names = sql.join(columns.map(each => sql.ref(each)))
  const textOf = bySize(size => sql`insert into ${sql.table(table)} (${names}) values ${list(size, tuple)}`)
  return async (on, rows) => {
    for (const some of inSizes(rows)) {
      const values: unknown[] = []
      for (const row of some) for (const column of columns) values.push(row[column])
      await on.executeQuery(CompiledQuery.raw(textOf(on, some.length), values))
      // an embedded database answers without leaving this turn of the event loop: what else waits has its own
      if (some.length === SIZES[0]) await turn()
    }
  }
}

/** Puts one row in, in the place of the one that has the same value in the column `by`. */
export function replacer<Row extends object>(
  table: string,
  columns: readonly (keyof Row & string)[],
  by: keyof Row & string,
): (on: On, row: Row) => Promise<void> {
  const names = sql.join(columns.map(each => sql.ref(each)))
  const values = sql.join(columns.map(() => sql.val(0)))
  const sets = sql.join(columns.map(each => sql`${sql.ref(each)} = ${sql.ref(`excluded.${each}`)}`))
  const conflict = sql`on conflict (${sql.ref(by)}) do update set ${sets}`
  const textOf = bySize(() => sql`insert into ${sql.table(table)} (${names}) values (${values}) ${conflict}`)
  return async (on, row) => {
    const given = columns.map(column => row[column])
    await on.executeQuery(CompiledQuery.raw(textOf(on, 1), given))
  }
}

/** Looks one row up; in a moment that is being looked at, in that very turn. */
export type Seeker<Row> = {
  (on: On, ...values: unknown[]): Promise<Row | undefined>
  now(look: Look, ...values: unknown[]): Row | undefined
}

/** Looks one row up by the values of some columns. */
export function seeker<Row extends object>(
  table: string,
  columns: readonly (keyof Row & string)[],
  by: readonly (keyof Row & string)[],
): Seeker<Row> {
  const names = sql.join(columns.map(each => sql.ref(each)))
  return seekerOf(names, sql.table(table), by)
}

/**
 * Looks one row up together with columns of the row in another table that has the same value in a column of the same name; where there is
 * none they are null. The other columns have different names in both. Text and numbers come as one text, JSON: to hand a value over costs
 * several times what it costs to find it.
 *
 * @param bytes - which of the columns are bytes
 */
export function joinedLook<Row extends object, Other extends object>(
  table: string,
  columns: readonly (keyof Row & string)[],
  by: readonly string[],
  other: { table: string; columns: readonly (keyof Other & string)[]; on: string },
  bytes: readonly (keyof (Row & Other) & string)[],
): (look: Look, ...values: unknown[]) => (Row & { [Name in keyof Other]: Other[Name] | null }) | undefined {
  const all: [string, string][] = [
    ...columns.map((each): [string, string] => [each, `${table}.${each}`]),
    ...other.columns.map((each): [string, string] => [each, `${other.table}.${each}`]),
  ]
  const isBytes = ([name]: [string, string]): boolean => bytes.some(each => each === name)
  const plain = all.filter(each => !isBytes(each))
  const names = [
    sql`json_array(${sql.join(plain.map(each => sql.ref(each[1])))}) as ${sql.ref(PLAIN)}`,
    ...all.filter(each => isBytes(each)).map(([name, place]) => sql`${sql.ref(place)} as ${sql.ref(name)}`),
  ]
  const link = sql`${sql.ref(`${other.table}.${other.on}`)} = ${sql.ref(`${table}.${other.on}`)}`
  const from = sql`${sql.table(table)} left join ${sql.table(other.table)} on ${link}`
  const where = sql.join(
    by.map(column => sql`${sql.ref(`${table}.${column}`)} = ${sql.val(0)}`),
    sql` and `,
  )
  const textOf = bySize(() => sql`select ${sql.join(names)} from ${from} where ${where}`)
  const plainNames = plain.map(([name]) => name)
  return (look, ...values) => {
    const row = look.first<Record<string, unknown>>(textOf(look.texts, 1), values)
    if (row === undefined) return undefined
    const found = JSON.parse(String(row[PLAIN])) as unknown[]
    const out: Record<string, unknown> = {}
    for (let at = 0; at < plainNames.length; at++) out[plainNames[at] ?? ''] = found[at]
    for (const name of bytes) out[name] = row[name]
    // it has the columns that were asked for, as any other row
    return out as Row & { [Name in keyof Other]: Other[Name] | null }
  }
}

/** no column of ours */
const PLAIN = 'plain values'

function seekerOf<Row>(names: RawBuilder<unknown>, from: RawBuilder<unknown>, by: readonly string[]): Seeker<Row> {
  const each = by.map(column => sql`${sql.ref(column)} = ${sql.val(0)}`)
  const textOf = bySize(() => sql`select ${names} from ${from} where ${sql.join(each, sql` and `)}`)
  const seek = async (on: On, ...values: unknown[]): Promise<Row | undefined> => {
    const { rows } = await on.executeQuery<Row>(CompiledQuery.raw(textOf(on, 1), values))
    return rows[0]
  }
  return Object.assign(seek, {
    now: (look: Look, ...values: unknown[]) => look.first<Row>(textOf(look.texts, 1), values),
  })
}

/** Which of many values a column holds, among the rows that have `within` in another. */
export function finder<Value>(
  table: string,
  column: string,
  withinColumn?: string,
): (on: On, values: readonly Value[], within?: string) => Promise<Value[]> {
  const narrowed = withinColumn === undefined ? sql`` : sql`${sql.ref(withinColumn)} = ${sql.val(0)} and `
  const textOf = bySize(
    size =>
      sql`select ${sql.ref(column)} as found from ${sql.table(table)} where ${narrowed}${sql.ref(column)} in (${list(size, sql`${sql.val(0)}`)})`,
  )
  return async (on, values, within) => {
    const out: Value[] = []
    for (const some of inSizes(values)) {
      const given = withinColumn === undefined ? [...some] : [within, ...some]
      const { rows } = await on.executeQuery<{ found: Value }>(CompiledQuery.raw(textOf(on, some.length), given))
      for (const { found } of rows) out.push(found)
    }
    return out
  }
}

function list(size: number, each: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql.join(Array.from({ length: size }, () => each))
}

function bySize(build: (size: number) => RawBuilder<unknown>): (on: QueryExecutorProvider, size: number) => string {
  const texts = new Map<number, string>()
  return (on, size) => {
    const known = texts.get(size)
    if (known !== undefined) return known
    const text = build(size).compile(on).sql
    texts.set(size, text)
    return text
  }
}

function* inSizes<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < all.length; ) {
    const size = SIZES.find(each => each <= all.length - at) ?? 1
    yield all.slice(at, at + size)
    at += size
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

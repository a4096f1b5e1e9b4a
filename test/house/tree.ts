import fs from 'node:fs'
import path from 'node:path'

/** Path from the top, with slashes, and what it says. */
export interface SourceFile {
  readonly file: string
  readonly text: string
}

export const TOP = path.join(import.meta.dirname, '../..')

const SKIPPED = new Set(['node_modules', '.git', 'dist'])

/** Every text file of the checkout as a clone has it: no node_modules, no .git, nothing built, no logs. */
export function readTree(): SourceFile[] {
  const found: SourceFile[] = []
  const visit = (directory: string) => {
    for (const entry of fs.readdirSync(path.join(TOP, directory), { withFileTypes: true })) {
      if (SKIPPED.has(entry.name) || entry.name.endsWith('.log')) continue
      const file = path.posix.join(directory, entry.name)
      if (entry.isDirectory()) visit(file)
      else if (entry.isFile()) {
        const bytes = fs.readFileSync(path.join(TOP, file))
        if (!bytes.subarray(0, 8000).includes(0)) found.push({ file, text: bytes.toString('utf8') })
      }
    }
  }
  visit('')
  return found.sort((a, b) => (a.file < b.file ? -1 : 1))
}

export function isTypeScript(file: string): boolean {
  return /\.tsx?$/.test(file)
}

/** Types of a package that has none: nobody imports the file, the compiler finds it. */
export function isAmbient(file: string): boolean {
  return file.endsWith('.d.ts')
}

/** Packages a file of ambient declarations speaks for. */
export function declaredIn(text: string): string[] {
  return [...withoutComments(text).matchAll(/^declare module ['"]([\w@./-]+)['"]/gm)].map(match => match[1] ?? '')
}

/** Without lines that are comment only; what stands behind code stays. The formatter puts each comment of ours on lines of its own. */
export function withoutComments(text: string): string {
  return text
    .replace(/^\s*\/\*[\s\S]*?\*\/\s*$/gm, '')
    .split('\n')
    .filter(line => !/^\s*\/\//.test(line))
    .join('\n')
}

const IMPORTS = [
  /^(?:import|export)\s[^'"`;]*?\bfrom\s+['"]([\w@./-]+)['"]/gm,
  /^import\s+['"]([\w@./-]+)['"]/gm,
  /\b(?:import|require|require\.resolve|import\.meta\.resolve)\(\s*['"]([\w@./-]+)['"]/g,
  // a worker or child process named by its address is an import too; data beside the source is not
  /\bnew URL\(\s*['"](\.[\w./-]+\.tsx?)['"],\s*import\.meta\.url\s*\)/g,
]

/** Specifiers a source names, in all four ways, as written. */
export function importsOf(text: string): string[] {
  const code = withoutComments(text)
  return IMPORTS.flatMap(pattern => [...code.matchAll(pattern)].map(match => match[1] ?? ''))
}

/** File from the top that a relative specifier means; null for a package or built-in. */
export function target(from: string, specifier: string): string | null {
  return specifier.startsWith('.') ? path.posix.join(path.posix.dirname(from), specifier) : null
}

/** `@scope/name` or `name` of a package specifier. */
export function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** Files a file imports, from the top; only those that are TypeScript. */
export type Graph = ReadonlyMap<string, readonly string[]>

export function graphOf(files: readonly SourceFile[]): Graph {
  return new Map(
    files.map(({ file, text }) => {
      const targets = importsOf(text).map(specifier => target(file, specifier))
      return [file, targets.filter(found => found !== null).filter(isTypeScript)]
    }),
  )
}

/** Files on the first circle found, its start repeated at the end; null without one. */
export function circle(graph: Graph): string[] | null {
  const done = new Set<string>()
  const walk = (file: string, trail: readonly string[]): string[] | null => {
    if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file]
    if (done.has(file)) return null
    for (const next of graph.get(file) ?? []) {
      const found = walk(next, [...trail, file])
      if (found !== null) return found
    }
    done.add(file)
    return null
  }
  for (const file of graph.keys()) {
    const found = walk(file, [])
    if (found !== null) return found
  }
  return null
}

/** Files that none of `roots` leads to. */
export function orphans(graph: Graph, roots: readonly string[]): string[] {
  const reached = new Set<string>()
  const open = [...roots]
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (reached.has(file)) continue
    reached.add(file)
    open.push(...(graph.get(file) ?? []))
  }
  return [...graph.keys()].filter(file => !reached.has(file))
}

import type { World } from './world.ts'

/** A rule of the design by its number, and what shows that it holds. */
export type Rule = { number: number; show: (world: World) => Promise<void>; missing: string | null }

/** @param missing - what of the rule is not built yet; null: nothing */
export function rule(number: number, show: Rule['show'], missing: string | null = null): Rule {
  return { number, show, missing }
}

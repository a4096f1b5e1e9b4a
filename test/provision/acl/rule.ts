import type { World } from './world.ts'

/** A rule of the design by its number, and what shows that it holds. */
export type Rule = { number: number; show: (world: World) => Promise<void> }

export function rule(number: number, show: Rule['show']): Rule {
  return { number, show }
}

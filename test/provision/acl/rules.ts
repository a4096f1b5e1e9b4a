import { GENERATION_RULES } from './generation-rules.ts'
import { KEY_RULES } from './key-rules.ts'
import { MODEL_RULES } from './model-rules.ts'
import { NAMED_RULES } from './named-rules.ts'
import type { Rule } from './rule.ts'
import { SETTING_RULES, VERB_RULES } from './verb-rules.ts'

/** Those that are built and shown. */
export const RULES: readonly Rule[] = [
  ...MODEL_RULES,
  ...VERB_RULES,
  ...SETTING_RULES,
  ...GENERATION_RULES,
  ...NAMED_RULES,
  ...KEY_RULES,
]

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AgentError } from '../../agent/fault.ts'
import { SettingsFile } from '../../agent/settings.ts'

const test = suite('the settings of a device')

for (const [what, text] of [
  ['no JSON', '{"ca":'],
  ['empty', ''],
  ['of another shape', '{"ca": 5}'],
] as const)
  test(`a file that is ${what} is a fault of the configuration, by name`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sealift-settings-'))
    try {
      writeFileSync(join(directory, 'settings.json'), text)
      const error: unknown = await SettingsFile.open(directory).catch((fault: unknown) => fault)
      assert.ok(error instanceof AgentError && error.fault === 'configuration')
      assert.match(error.message, 'settings.json')
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

test.run()

import process from 'node:process'
import { verifyCommand } from './command.ts'

process.exitCode = await verifyCommand(process.argv.slice(2), {
  out: text => process.stdout.write(text),
  error: text => process.stderr.write(text),
  errorIsTerminal: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
})

import process from 'node:process'
import { verifyCommand } from './command.ts'

// a reader that has gone (`| head`) ends what is said, not what is done
for (const stream of [process.stdout, process.stderr])
  stream.on('error', error => {
    if (!('code' in error) || error.code !== 'EPIPE') throw error
  })

process.exitCode = await verifyCommand(process.argv.slice(2), {
  out: text => process.stdout.write(text),
  error: text => process.stderr.write(text),
  errorIsTerminal: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
})

import { checkDevice } from './clients/device.ts'
import { checkHosted } from './clients/hosted.ts'
import { requireClients } from './clients/packages.ts'
import { clientTable } from './clients/table.ts'

/**
 * Drives the clients people have against the device and the hosted store: `npm run check:clients`.
 * Exit 0: every client did every verb; 1: one did not; 69: a client is missing and could not be installed.
 */
requireClients()
const reports = [...(await checkDevice()), ...(await checkHosted())]
console.log(clientTable(reports))
const failed = reports.filter(report => report.outcome === 'failed')
for (const { label, client, verb, detail } of failed) console.log(`\n${label}: ${client}: ${verb}\n${detail}`)
process.exitCode = failed.length > 0 ? 1 : 0

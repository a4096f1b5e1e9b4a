import type { Command } from 'commander'
import type { JobId } from '../../format/bytes.ts'
import type { ExportOrder } from '../../format/export.ts'
import { type CommonOptions, type Operator, tell, withAdministration } from '../operator.ts'
import { jobId } from './values.ts'

/** Of jobs that carry objects out. */
export function exportCommands(job: Command, operator: Operator): void {
  job
    .command('orders')
    .argument('<job>', 'id', jobId)
    .description('what principals ordered an export to take with it, withdrawn orders too')
    .action(async (id: JobId, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const orders = await withAdministration(operator, options, at => at.listExportOrders(id))
      tell(operator, options, { orders }, orders.map(line))
    })
  job
    .command('withdraw')
    .argument('<order>', 'id, as `job orders` shows it')
    .description('take an order back: nothing is exported by it from the answer on')
    .action(async (order: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await withAdministration(operator, options, at => at.withdrawExportOrder(order))
      tell(operator, options, { withdrawn: order }, [`order ${order} is withdrawn`])
    })
  job
    .command('close')
    .argument('<job>', 'id', jobId)
    .description('end an export: nothing more is sealed for its device. An import is closed by `key destroy --job`')
    .action(async (id: JobId, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      await withAdministration(operator, options, at => at.closeJob(id))
      tell(operator, options, { closed: id }, [`job ${id} is closed`])
    })
}

function line({ id, user, accessKey, bucket, prefix, orderedAt, withdrawnAt }: ExportOrder): string {
  const state = withdrawnAt === null ? 'in force' : `withdrawn ${new Date(withdrawnAt).toISOString()}`
  const what = JSON.stringify(`${bucket}/${prefix}`)
  return `${id}  ${what}  user ${user} by ${accessKey}  ${new Date(orderedAt).toISOString()}  ${state}`
}

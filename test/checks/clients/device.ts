import { sealift, startAgent } from '../../agent/agent.ts'
import { prepareDevice } from '../../agent/prepared.ts'
import { checkClients } from './check.ts'
import type { ClientReport } from './client.ts'

/** A real device, its agent a process of its own, its job readable. */
export async function checkDevice(): Promise<ClientReport[]> {
  const device = await prepareDevice({ mode: 'readable', buckets: ['checked'] })
  try {
    const agent = await startAgent(device)
    const { accessKey, secretKey } = JSON.parse((await sealift(device, ['--json', 'credentials'])).stdout)
    try {
      return await checkClients({
        ...{ endpoint: agent.url, accessKey, secretKey, bucket: 'checked' },
        ...{ takesForms: false, label: 'device' },
      })
    } finally {
      await agent.stop()
    }
  } finally {
    await device.remove()
  }
}

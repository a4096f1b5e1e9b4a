import { MODE_IN_WORDS } from '../format/grant.ts'
import { encodeProof } from '../format/proof.ts'
import type { Commander } from './control.ts'
import { copyTree } from './copy/copy.ts'
import type { Device, DeviceStatus } from './device.ts'
import { AgentError } from './fault.ts'
import { verifyJob } from './verify.ts'

export type SealAnswer = {
  code: string
  sealNumber: number
  objects: number
  bytes: number
  unfinished: { bucket: string; key: string }[]
  manifests: string[]
}
export type StatusAnswer = DeviceStatus & { modeInWords: string | null; endpoint: string | null }
export type CredentialsAnswer = { accessKey: string; secretKey: string; endpoint: string | null; buckets: string[] }

/** Does the commands of a device, whoever asks: the control socket of a running `serve`, or the CLI when it holds the device itself. */
export function deviceCommander(device: Device, endpoint: () => string | null): Commander {
  const text = (args: Record<string, unknown>, name: string): string => {
    const value = args[name]
    if (typeof value !== 'string') throw new AgentError('usage', `"${name}" is missing`)
    return value
  }
  const status = async (): Promise<StatusAnswer> => {
    const found = await device.status()
    return { ...found, modeInWords: found.mode === null ? null : MODE_IN_WORDS[found.mode], endpoint: endpoint() }
  }
  return async ({ command, args }, progress, signal) => {
    switch (command) {
      case 'status':
        return status()
      case 'unlock':
        await device.unlock(text(args, 'code'))
        return status()
      case 'lock':
        await device.lock()
        return status()
      case 'credentials': {
        const { unlocked } = device.job
        const answer: CredentialsAnswer = {
          ...unlocked.credential,
          endpoint: endpoint(),
          buckets: unlocked.owner.buckets,
        }
        return answer
      }
      case 'copy': {
        const { store } = device.job
        const options = {
          source: text(args, 'source'),
          bucket: text(args, 'bucket'),
          prefix: text(args, 'prefix'),
          signal,
        }
        return copyTree(store, {
          ...options,
          onProgress: value => progress({ copy: value }),
          onRemark: value => progress({ remark: value }),
        })
      }
      case 'seal': {
        const sealed = await device.seal()
        const { checkpoint, code, unfinished, manifests } = sealed
        const answer: SealAnswer = {
          code,
          sealNumber: checkpoint.number,
          objects: checkpoint.objects,
          bytes: checkpoint.bytes,
          unfinished,
          manifests,
        }
        return answer
      }
      case 'reopen':
        await device.reopen()
        return status()
      case 'end-epoch':
        await device.job.store.endEpoch()
        return status()
      case 'verify': {
        const { store, unlocked } = device.job
        const every = args.every
        return verifyJob(
          store,
          unlocked.owner.buckets,
          typeof every === 'number' && Number.isInteger(every) && every > 0 ? every : 1,
          value => progress({ verify: value }),
        )
      }
      case 'proof': {
        const proof = await device.job.store.prove(text(args, 'bucket'), text(args, 'key'))
        if (proof === null)
          throw new AgentError('usage', `there is no object ${text(args, 'bucket')}/${text(args, 'key')}`)
        return { proof: encodeProof(proof).toString('utf8') }
      }
      case 'self-check':
        await device.job.unlocked.token.health()
        return status()
      default:
        throw new AgentError('usage', `no such command: ${command}`)
    }
  }
}

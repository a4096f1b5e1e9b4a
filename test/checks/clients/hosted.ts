import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import { ask, serve } from '../../quickstart/commands.ts'
import { checkClients } from './check.ts'
import { type ClientReport, type ClientTarget, sdkClient } from './client.ts'

type ProviderReady = { roles: { name: string; address: string }[] }

/** A real provider, its roles processes of their own; the bucket is made over S3. */
export async function checkHosted(): Promise<ClientReport[]> {
  const state = mkdtempSync(join(tmpdir(), 'sealift-hosted-'))
  const provider = (...args: string[]) => ['--state', join(state, 'provider'), ...args]
  try {
    await ask('sealift-provider', provider('init'))
    const service = await serve<ProviderReady>('sealift-provider', provider('serve', '--listen', '127.0.0.1:0'))
    try {
      const hosted = service.ready.roles.find(role => role.name === 'hosted')
      if (hosted === undefined) throw new Error('the provider serves no hosted store')
      await ask('sealift-provider', provider('account', 'create', 'owner'))
      const { accessKey, secret } = await ask<{ accessKey: string; secret: string }>(
        'sealift-provider',
        provider('access-key', 'create', 'owner'),
      )
      const target = {
        endpoint: hosted.address,
        accessKey,
        secretKey: secret,
        bucket: 'checked',
        takesForms: true,
        label: 'hosted store',
      }
      await makeBucket(target)
      return await checkClients(target)
    } finally {
      await service.stop()
    }
  } finally {
    rmSync(state, { recursive: true, force: true })
  }
}

async function makeBucket(target: ClientTarget): Promise<void> {
  const client = sdkClient(target)
  try {
    await client.send(new CreateBucketCommand({ Bucket: target.bucket }))
  } finally {
    client.destroy()
  }
}

import { type Client, type ClientTarget, multipartBytes, oddNames } from './client.ts'
import { equals, excludes, includes } from './expect.ts'
import { command, files, programPath } from './workshop.ts'

export function awsCli(target: ClientTarget, home: string): Client {
  const run = command(programPath('aws'), home, {
    AWS_ACCESS_KEY_ID: target.accessKey,
    AWS_SECRET_ACCESS_KEY: target.secretKey,
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_PAGER: '',
  })
  const s3 = (...args: string[]) => run('--endpoint-url', target.endpoint, 's3', ...args)
  const api = (...args: string[]) => run('--endpoint-url', target.endpoint, 's3api', ...args)
  const at = ['--bucket', target.bucket]
  const url = (key: string) => `s3://${target.bucket}/${key}`
  const file = files(home, 'aws')
  const one = file.make('one', 100_001)
  return {
    name: 'aws',
    run: {
      put: async () => void (await s3('cp', one.path, url('aws/one'))),
      list: async () => includes(await s3('ls', url('aws/')), 'one'),
      async get() {
        await s3('cp', url('aws/one'), file.path('back'))
        file.same(file.path('back'), one.bytes)
      },
      async range() {
        await api('get-object', ...at, '--key', 'aws/one', '--range', 'bytes=10-99', file.path('range'))
        file.same(file.path('range'), one.bytes.subarray(10, 100))
      },
      head: async () => includes(await api('head-object', ...at, '--key', 'aws/one'), '100001'),
      async multipart() {
        const big = file.make('big', multipartBytes)
        await s3('cp', big.path, url('aws/big'))
        includes(await api('head-object', ...at, '--key', 'aws/big'), '-2')
        await s3('cp', url('aws/big'), file.path('big-back'))
        file.same(file.path('big-back'), big.bytes)
      },
      async metadata() {
        await s3(
          'cp',
          one.path,
          url('aws/meta'),
          '--metadata',
          'colour=blue',
          '--content-type',
          'text/x-odd',
          '--cache-control',
          'no-store',
        )
        const head = await api('head-object', ...at, '--key', 'aws/meta')
        for (const wanted of ['"colour": "blue"', 'text/x-odd', 'no-store']) includes(head, wanted)
      },
      async 'odd names'() {
        for (const name of oddNames) {
          await s3('cp', one.path, url(`aws/odd/${name}`))
          await s3('cp', url(`aws/odd/${name}`), file.path('odd'))
          file.same(file.path('odd'), one.bytes)
        }
        const list = await s3('ls', '--recursive', url('aws/odd/'))
        for (const name of oddNames) includes(list, name)
      },
      async delete() {
        await s3('rm', url('aws/one'))
        excludes(await s3('ls', url('aws/')), ' one\n')
      },
      async 'delete many'() {
        const names = ['aws/odd/with space', 'aws/odd/a+b']
        const request = JSON.stringify({ Objects: names.map(Key => ({ Key })) })
        await api('delete-objects', ...at, '--delete', request)
        await s3('rm', '--recursive', url('aws/'))
        equals((await s3('ls', '--recursive', url(''))).trim(), '')
      },
      form: null,
    },
  }
}

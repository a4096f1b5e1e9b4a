import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Client, type ClientTarget, etagOf, multipartBytes, oddNames } from './client.ts'
import { equals, excludes, includes } from './expect.ts'
import { command, files, programPath } from './workshop.ts'

export function s3cmd(target: ClientTarget, home: string): Client {
  const { host, protocol } = new URL(target.endpoint)
  const config = join(home, '.s3cfg')
  const lines = [
    '[default]',
    `access_key = ${target.accessKey}`,
    `secret_key = ${target.secretKey}`,
    `host_base = ${host}`,
    `host_bucket = ${host}`,
    `use_https = ${protocol === 'https:' ? 'True' : 'False'}`,
    'check_ssl_certificate = False',
    'signature_v2 = False',
    'multipart_chunk_size_mb = 5',
  ]
  writeFileSync(config, `${lines.join('\n')}\n`, { mode: 0o600 })
  const run = command(programPath('s3cmd'), home, {})
  const call = (...args: string[]) => run('--config', config, '--no-progress', ...args)
  const url = (key: string) => `s3://${target.bucket}/${key}`
  const file = files(home, 's3cmd')
  const one = file.make('one', 100_002)
  return {
    name: 's3cmd',
    run: {
      put: async () => void (await call('put', one.path, url('s3cmd/one'))),
      list: async () => includes(await call('ls', url('s3cmd/')), url('s3cmd/one')),
      async get() {
        await call('get', '--force', url('s3cmd/one'), file.path('back'))
        file.same(file.path('back'), one.bytes)
      },
      async range() {
        // the client's only range: going on with a file of which a part is there
        writeFileSync(file.path('part'), one.bytes.subarray(0, 40_000))
        await call('get', '--continue', url('s3cmd/one'), file.path('part'))
        file.same(file.path('part'), one.bytes)
      },
      head: async () => includes(await call('info', url('s3cmd/one')), '100002'),
      async multipart() {
        const big = file.make('big', multipartBytes)
        await call('put', big.path, url('s3cmd/big'))
        // the client shows an MD5 of its own; only the ETag tells that it sent parts
        includes(await etagOf(target, 's3cmd/big'), '-3')
        await call('get', '--force', url('s3cmd/big'), file.path('big-back'))
        file.same(file.path('big-back'), big.bytes)
      },
      async metadata() {
        await call('put', '--add-header=x-amz-meta-colour:blue', '--mime-type=text/x-odd', one.path, url('s3cmd/meta'))
        const info = await call('info', url('s3cmd/meta'))
        for (const wanted of ['x-amz-meta-colour: blue', 'text/x-odd']) includes(info, wanted)
      },
      async 'odd names'() {
        for (const name of oddNames) {
          await call('put', one.path, url(`s3cmd/odd/${name}`))
          await call('get', '--force', url(`s3cmd/odd/${name}`), file.path('odd'))
          file.same(file.path('odd'), one.bytes)
        }
        const list = await call('ls', '--recursive', url('s3cmd/odd/'))
        for (const name of oddNames) includes(list, url(`s3cmd/odd/${name}`))
      },
      async delete() {
        await call('del', url('s3cmd/one'))
        excludes(await call('ls', url('s3cmd/')), url('s3cmd/one'))
      },
      async 'delete many'() {
        await call('del', '--recursive', '--force', url('s3cmd/'))
        equals((await call('ls', '--recursive', url('s3cmd/'))).trim(), '')
      },
      form: null,
    },
  }
}

import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Client, type ClientTarget, etagOf, multipartBytes, oddNames } from './client.ts'
import { equals, excludes, includes } from './expect.ts'
import { command, files, programPath } from './workshop.ts'

export function rclone(target: ClientTarget, home: string): Client {
  const run = command(programPath('rclone'), home, {
    RCLONE_CONFIG: join(home, 'rclone.conf'),
    RCLONE_CONFIG_SEA_TYPE: 's3',
    RCLONE_CONFIG_SEA_PROVIDER: 'Other',
    RCLONE_CONFIG_SEA_ENDPOINT: target.endpoint,
    RCLONE_CONFIG_SEA_ACCESS_KEY_ID: target.accessKey,
    RCLONE_CONFIG_SEA_SECRET_ACCESS_KEY: target.secretKey,
    RCLONE_CONFIG_SEA_FORCE_PATH_STYLE: 'true',
    RCLONE_CONFIG_SEA_UPLOAD_CUTOFF: '6M',
    RCLONE_CONFIG_SEA_CHUNK_SIZE: '5M',
    RCLONE_NO_CHECK_CERTIFICATE: 'true',
    RCLONE_RETRIES: '1',
    RCLONE_LOW_LEVEL_RETRIES: '1',
    RCLONE_S3_NO_CHECK_BUCKET: 'true',
  })
  const url = (key: string) => `sea:${target.bucket}/${key}`
  const file = files(home, 'rclone')
  const one = file.make('one', 100_003)
  return {
    name: 'rclone',
    run: {
      put: async () => void (await run('copyto', one.path, url('rclone/one'))),
      list: async () => equals((await run('lsf', url('rclone/'))).trim(), 'one'),
      async get() {
        await run('copyto', url('rclone/one'), file.path('back'))
        file.same(file.path('back'), one.bytes)
      },
      async range() {
        writeFileSync(file.path('text'), `xxxxxxxxxx${'y'.repeat(90)}z`)
        await run('copyto', file.path('text'), url('rclone/text'))
        equals(await run('cat', '--offset', '10', '--count', '90', url('rclone/text')), 'y'.repeat(90))
      },
      async head() {
        includes(
          await run('lsjson', '--stat', '--hash', url('rclone/one')),
          createHash('md5').update(one.bytes).digest('hex'),
        )
      },
      async multipart() {
        const big = file.make('big', multipartBytes)
        await run('copyto', big.path, url('rclone/big'))
        includes(await etagOf(target, 'rclone/big'), '-3')
        await run('copyto', url('rclone/big'), file.path('big-back'))
        file.same(file.path('big-back'), big.bytes)
        await run('check', '--download', file.path(''), url('rclone/'), '--include', 'big')
      },
      async metadata() {
        await run(
          'copyto',
          '--header-upload',
          'x-amz-meta-colour: blue',
          '--header-upload',
          'Content-Type: text/x-odd',
          one.path,
          url('rclone/meta'),
        )
        const stat = await run('lsjson', '--stat', '--metadata', url('rclone/meta'))
        for (const wanted of ['"colour":"blue"', 'text/x-odd']) includes(stat.replaceAll(': ', ':'), wanted)
      },
      async 'odd names'() {
        for (const name of oddNames) {
          await run('copyto', one.path, url(`rclone/odd/${name}`))
          await run('copyto', url(`rclone/odd/${name}`), file.path('odd'))
          file.same(file.path('odd'), one.bytes)
        }
        const list = (await run('lsf', '--recursive', '--files-only', url('rclone/odd/'))).trim().split('\n')
        for (const name of oddNames) if (!list.includes(name)) throw new Error(`${name} is not in the listing`)
      },
      async delete() {
        await run('deletefile', url('rclone/one'))
        excludes(await run('lsf', url('rclone/')), 'one\n')
      },
      async 'delete many'() {
        await run('delete', url('rclone/'))
        equals((await run('lsf', '--recursive', '--files-only', url(''))).trim(), '')
      },
      form: null,
    },
  }
}

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, fstatSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 })
    .toString()
    .trim()
}

/** An ext4 of that size in a file. */
export function makeFileSystem(image: string, mebibytes: number): void {
  run('truncate', '-s', `${mebibytes}M`, image)
  run('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image)
}

export function copyImage(from: string, to: string): void {
  run('cp', '--sparse=always', from, to)
}

export type Mounted = { path: string; device: string; unmount(): Promise<void> }

/** Mounts an image through a loop device; the journal is replayed in here. */
export function mountImage(image: string, path: string, options = 'data=ordered'): Mounted {
  mkdirSync(path, { recursive: true })
  const device = run('losetup', '--find', '--show', image)
  try {
    run('mount', '-t', 'ext4', '-o', options, device, path)
  } catch (error) {
    run('losetup', '-d', device)
    throw error
  }
  let mounted = true
  return {
    path,
    device,
    async unmount() {
      if (!mounted) return
      mounted = false
      // a process that was just killed may hold its files for a moment
      for (let tries = 0; ; tries++)
        try {
          run('umount', path)
          break
        } catch (error) {
          if (tries === 50) throw error
          await delay(100)
        }
      run('losetup', '-d', device)
    },
  }
}

/** Cuts the power of a mounted ext4: nothing of it reaches its device any more, not even its journal. FS_IOC_SHUTDOWN, no log flush. */
export function cutPower(path: string): void {
  run('xfs_io', '-x', '-c', 'shutdown', path)
}

export type Recorder = {
  /** the file to mount */
  image: string
  log: string
  /** bytes of log so far: what was answered before this call lies before it */
  position(): number
  stop(): Promise<void>
}

/** Serves `disk` as a file whose every write, discard and flush goes into a log first. */
export async function recordWrites(directory: string, disk: string): Promise<Recorder> {
  const image = join(directory, 'recorded.img')
  const log = join(directory, 'writes.log')
  const ready = join(directory, 'recorder.pid')
  for (const path of [image, log]) writeFileSync(path, '')
  const daemon = spawn(
    'qemu-storage-daemon',
    [
      ...['--blockdev', `driver=file,node-name=disk,filename=${disk}`],
      ...['--blockdev', `driver=file,node-name=log,filename=${log}`],
      ...['--blockdev', 'driver=blklogwrites,node-name=logged,file=disk,log=log,log-sector-size=512'],
      ...['--export', `type=fuse,id=recorded,node-name=logged,mountpoint=${image},writable=on,growable=off`],
      ...['--pidfile', ready],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let said = ''
  daemon.stderr.on('data', chunk => {
    said += String(chunk)
  })
  let ended = false
  const end = once(daemon, 'close').then(() => {
    ended = true
  })
  // the pid file is written when the export is there
  while (!existsSync(ready) || readFileSync(ready).length === 0) {
    if (ended) throw new Error(`qemu-storage-daemon ended: ${said}`)
    await delay(50)
  }
  const descriptor = openSync(log, 'r')
  return {
    image,
    log,
    position: () => fstatSync(descriptor).size,
    async stop() {
      daemon.kill('SIGTERM')
      await end
    },
  }
}

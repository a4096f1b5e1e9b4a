/** nginx as a plain store: WebDAV PUT and static GET, not sealed, not durable. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../test/free-port.ts'
import type { Place } from '../place.ts'
import { programPath } from '../program.ts'

export type Nginx = { port: number; root: string; stop: () => Promise<void> }

const START_MS = 10_000

/** null where nginx is not installed. */
export async function startNginx(place: Place, name: string): Promise<Nginx | null> {
  const program = programPath('nginx')
  if (program === null) return null
  const home = place.make(`nginx-${name}`)
  const root = place.make(`nginx-${name}/root`)
  const port = await freePort()
  writeFileSync(join(home, 'nginx.conf'), configuration(home, root, port))
  const child = spawn(program, ['-p', home, '-c', join(home, 'nginx.conf'), '-e', join(home, 'error.log')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = once(child, 'exit')
  await reachable(port, () => child.exitCode !== null)
  return {
    port,
    root,
    async stop() {
      child.kill('SIGTERM')
      await ended
      rmSync(home, { recursive: true, force: true })
    },
  }
}

function configuration(home: string, root: string, port: number): string {
  return [
    ...(process.getuid?.() === 0 ? ['user root;'] : []),
    'daemon off;',
    'worker_processes 2;',
    `pid ${home}/pid;`,
    'events { worker_connections 1024; }',
    'http {',
    '  access_log off;',
    '  sendfile on;',
    '  keepalive_timeout 1h;',
    '  keepalive_requests 1000000000;',
    '  client_max_body_size 0;',
    ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(each => `  ${each}_temp_path ${home}/${each};`),
    '  server {',
    `    listen 127.0.0.1:${port};`,
    `    root ${root};`,
    '    location / { dav_methods PUT; create_full_put_path on; }',
    '  }',
    '}',
    '',
  ].join('\n')
}

async function reachable(port: number, ended: () => boolean): Promise<void> {
  for (const until = performance.now() + START_MS; performance.now() < until && !ended(); await delay(20)) {
    const socket = connect(port, '127.0.0.1')
    const open = await new Promise<boolean>(resolve => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.destroy()
    if (open) return
  }
  throw new Error('nginx did not start: its reason stands above')
}

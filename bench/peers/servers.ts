/** What stands behind the contenders: a web server on each of two hosts, and iperf3 on the first. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Cleanup } from '../../examples/lab/cleanup.ts';
import { makeDirectory } from '../../examples/lab/namespaces.ts';
import { run, succeeds } from '../../examples/lab/processes.ts';
import { Program } from '../programs.ts';
import { type Arena, BULK_PORT, OUTER_CORE, WEB_HOSTS, WEB_PORT } from './arena.ts';
import { LIMIT_MS, START_MS } from './contender.ts';

const POLL_MS = 20;

/** Starts the servers and waits until they listen. @throws Error when one does not. */
export async function startServers(arena: Arena, cleanup: Cleanup): Promise<void> {
  const folder = makeDirectory();
  cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
  for (const host of WEB_HOSTS) {
    const own = join(folder, host);
    mkdirSync(own);
    const file = join(own, 'nginx.conf');
    writeFileSync(file, configuration(own));
    await start(arena, cleanup, host, WEB_PORT, 'nginx', '-p', own, '-c', file, '-e', 'stderr');
  }
  await start(arena, cleanup, WEB_HOSTS[0], BULK_PORT, 'iperf3', '--server');
}

async function start(arena: Arena, cleanup: Cleanup, host: string, port: number, ...command: string[]): Promise<void> {
  const program = new Program(cleanup, LIMIT_MS, arena.on(host, OUTER_CORE, ...command));
  const isThere = arena.network.on(host, 'bash', '-c', `exec 3<>/dev/tcp/127.0.0.1/${port}`);
  for (const deadline = performance.now() + START_MS; !succeeds(...isThere); await pause(POLL_MS)) {
    if (performance.now() > deadline) throw new Error(`${command[0]} does not listen: ${program.errors.trim()}`);
  }
}

/** One process; an answer of a few bytes that needs no file; nothing written down. */
function configuration(folder: string): string {
  const built = run('sh', '-c', 'nginx -V 2>&1');
  // nginx makes a directory for each module that buffers: those that it has must be told where.
  const buffers = ['proxy', 'fastcgi', 'uwsgi', 'scgi']
    .filter((name) => !built.includes(`--without-http_${name}_module`))
    .map((name) => `  ${name}_temp_path ${folder}/${name};\n`);
  return `daemon off;
master_process off;
user root root;
pid ${folder}/nginx.pid;
error_log stderr error;
worker_rlimit_nofile 20000;
events { worker_connections 10000; multi_accept on; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path ${folder}/body;
${buffers.join('')}  server {
    listen ${WEB_PORT} backlog=16384;
    location / { return 200 "tapvs\\n"; }
  }
}
`;
}

/** The contenders that end connections and make others: HAProxy, nginx and a program of Node's. Each is one process. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Cleanup } from '../../examples/lab/cleanup.ts';
import { makeDirectory } from '../../examples/lab/namespaces.ts';
import { succeeds } from '../../examples/lab/processes.ts';
import { Program } from '../programs.ts';
import { type Arena, CONTENDER_CORE, offersOf, type Place } from './arena.ts';
import { type Contender, descriptors, LIMIT_MS, type Running, START_MS } from './contender.ts';

/** nginx's stream module: a file of a package of its own. */
export const NGINX_STREAM = '/usr/lib/nginx/modules/ngx_stream_module.so';
const POLL_MS = 20;
/** For listening, pipes, timers and the like. */
const SPARE_DESCRIPTORS = 400;

/** Each connection takes two descriptors. */
function mostConnections(): number {
  return Math.floor((descriptors() - SPARE_DESCRIPTORS) / 2);
}

/** HAProxy in TCP mode, one thread. */
export const haproxy: Contender = {
  name: 'HAProxy',
  host: 'haproxy',
  wayBack: 'proxy',
  hasHost: true,
  start: (arena, place, cleanup) => {
    const file = join(directory(cleanup), 'haproxy.cfg');
    writeFileSync(file, haproxyConfiguration(place));
    return startProxy(arena, place, cleanup, 'haproxy', '-db', '-f', file);
  },
};

function haproxyConfiguration(place: Place): string {
  const sections = offersOf(place).map(
    ({ port, servers }) => `
listen port${port}
  bind ${place.vip}:${port}
  balance roundrobin
${servers.map((server, i) => `  server s${i} ${server}:${port}\n`).join('')}`,
  );
  return `global
  nbthread 1
  maxconn ${mostConnections()}
  maxpipes 100
defaults
  mode tcp
  backlog 16384
  option splice-auto
  timeout connect 5s
  timeout client 1h
  timeout server 1h
${sections.join('')}`;
}

/** nginx with its stream module, one worker. */
export const nginxStream: Contender = {
  name: 'nginx stream',
  host: 'nginx',
  wayBack: 'proxy',
  hasHost: true,
  start: (arena, place, cleanup) => {
    const folder = directory(cleanup);
    const file = join(folder, 'nginx.conf');
    writeFileSync(file, nginxConfiguration(place, folder));
    return startProxy(arena, place, cleanup, 'nginx', '-p', folder, '-c', file, '-e', 'stderr');
  },
};

function nginxConfiguration(place: Place, folder: string): string {
  const sections = offersOf(place).map(
    ({ port, servers }) => `
  upstream port${port} { ${servers.map((server) => `server ${server}:${port} max_fails=0;`).join(' ')} }
  server {
    listen ${place.vip}:${port} backlog=16384;
    proxy_pass port${port};
  }`,
  );
  return `load_module ${NGINX_STREAM};
daemon off;
master_process off;
user root root;
pid ${folder}/nginx.pid;
error_log stderr error;
events { worker_connections ${2 * mostConnections() + SPARE_DESCRIPTORS / 2}; multi_accept on; }
stream {
  proxy_timeout 1h;
  proxy_connect_timeout 5s;${sections.join('')}
}
`;
}

/** A proxy as somebody writes it with Node's `net`. */
export const nodeProxy: Contender = {
  name: 'Node net proxy',
  host: 'node',
  wayBack: 'proxy',
  hasHost: true,
  start: (arena, place, cleanup) => {
    const program = fileURLToPath(new URL('./node-proxy.js', import.meta.url));
    const offers = offersOf(place).map(({ port, servers }) => `${port}=${servers.join(',')}`);
    return startProxy(arena, place, cleanup, process.execPath, program, place.vip, ...offers);
  },
};

function directory(cleanup: Cleanup): string {
  const path = makeDirectory();
  cleanup.add(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Starts a proxy and waits until it listens. */
async function startProxy(
  arena: Arena,
  place: Place,
  cleanup: Cleanup,
  ...command: readonly string[]
): Promise<Running> {
  const limits = ['prlimit', `--nofile=${descriptors()}:${descriptors()}`];
  const program = new Program(cleanup, LIMIT_MS, arena.on(place.host, CONTENDER_CORE, ...limits, ...command));
  let ended = false;
  const over = () => {
    ended = true;
  };
  program.ended.then(over, over);
  const deadline = performance.now() + START_MS;
  for (const { port } of offersOf(place)) {
    const isThere = `exec 3<>/dev/tcp/${place.vip}/${port}`;
    while (!succeeds(...arena.network.on(place.host, 'bash', '-c', isThere))) {
      if (ended || performance.now() > deadline) {
        throw new Error(`${command[0]} does not listen on port ${port}: ${program.errors.trim()}`);
      }
      await pause(POLL_MS);
    }
  }
  return { pid: program.pid, mostConnections: mostConnections(), stop: () => program.stop('SIGKILL') };
}

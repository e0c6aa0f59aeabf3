/** The real servers: a page each over HTTP and HTTPS, from nginx where it is installed, else from Node. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Identity } from './certificate.ts';
import type { Network } from './namespaces.ts';
import { type Children, findProgram, run } from './processes.ts';
import { request } from './requests.ts';
import { hostOf, LabFailure, pageOf, type WebServer } from './story.ts';

/** What can serve the pages. */
export type ServerKind = 'nginx' | 'node';

/** What serves the pages here: nginx where it is installed and knows TLS. */
export function availableServer(): ServerKind {
  return findProgram('nginx') !== undefined && nginxModules().includes('--with-http_ssl_module') ? 'nginx' : 'node';
}

/** A web server's files. */
interface Site {
  readonly server: WebServer;
  readonly directory: string;
  readonly certPath: string;
  readonly keyPath: string;
}

/**
 * Starts the web server on its host and waits until it answers on both ports.
 * @throws LabFailure when it does not.
 */
export async function startServer(
  network: Network,
  children: Children,
  kind: ServerKind,
  server: WebServer,
  identity: Identity,
  directory: string,
): Promise<void> {
  const site = writeSite(server, identity, join(directory, server.name));
  const command = kind === 'nginx' ? nginxCommand(site) : nodeCommand(site);
  let ended: string | undefined;
  children.start(...network.on(server.name, ...command)).then(
    ({ status, signal, stderr }) => {
      ended = stderr.trim() || `${signal ?? `exit status ${status}`}`;
    },
    (error: Error) => {
      ended = error.message;
    },
  );
  const urls = [
    `http://${hostOf(server.address)}:${server.httpPort}/`,
    `https://${hostOf(server.address)}:${server.httpsPort}/`,
  ];
  for (const url of urls) {
    for (let tries = 1; (await request(network, children, server.name, url)).page !== pageOf(server.name); tries++) {
      if (ended !== undefined) throw new LabFailure(`${kind} on ${server.name} ended: ${ended}`);
      if (tries === 100) throw new LabFailure(`${kind} on ${server.name} does not answer on ${url}`);
      await pause(50);
    }
  }
}

function writeSite(server: WebServer, identity: Identity, directory: string): Site {
  const site = { server, directory, certPath: join(directory, 'lab.crt'), keyPath: join(directory, 'lab.key') };
  mkdirSync(join(directory, 'html'), { recursive: true });
  writeFileSync(join(directory, 'html', 'index.html'), `${pageOf(server.name)}\n`);
  writeFileSync(site.certPath, identity.cert);
  writeFileSync(site.keyPath, identity.key, { mode: 0o600 });
  return site;
}

function nodeCommand({ server, directory, certPath, keyPath }: Site): string[] {
  const program = fileURLToPath(new URL('./web-server.js', import.meta.url));
  const page = join(directory, 'html', 'index.html');
  return [process.execPath, program, page, `${server.httpPort}`, `${server.httpsPort}`, keyPath, certPath];
}

function nginxModules(): string {
  return run('sh', '-c', 'nginx -V 2>&1');
}

function nginxCommand(site: Site): string[] {
  const path = join(site.directory, 'nginx.conf');
  writeFileSync(path, nginxConfiguration(site));
  return ['nginx', '-p', site.directory, '-c', path, '-e', 'stderr'];
}

/**
 * One process, which is the one that gets killed, and all paths in the lab's own directory. nginx makes a directory for
 * every module that buffers, so those that it was built with must be told where, and the others must not be named.
 */
function nginxConfiguration({ server, directory, certPath, keyPath }: Site): string {
  const modules = nginxModules();
  const buffers = ['proxy', 'fastcgi', 'uwsgi', 'scgi']
    .filter((name) => !modules.includes(`--without-http_${name}_module`))
    .map((name) => `  ${name}_temp_path ${directory}/${name};\n`);
  return `daemon off;
master_process off;
user root root;
pid ${directory}/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path ${directory}/body;
${buffers.join('')}  server {
    listen ${server.httpPort};
    listen ${server.httpsPort} ssl;
    ssl_certificate ${certPath};
    ssl_certificate_key ${keyPath};
    root ${directory}/html;
  }
}
`;
}

/**
 * A TCP load balancer with Node's `net`: `node node-proxy.js ADDRESS PORT=SERVER,SERVER...`. Each connection goes to the next
 * server, at the same port; what either side says or ends goes to the other.
 */
import { connect, createServer, type Socket } from 'node:net';

const BACKLOG = 16_384;

function join(client: Socket, server: Socket): void {
  client.pipe(server);
  server.pipe(client);
  // `pipe` passes the end on, but not a failure.
  client.on('error', () => server.destroy());
  server.on('error', () => client.destroy());
  client.on('close', () => server.destroy());
  server.on('close', () => client.destroy());
}

const [address, ...offers] = process.argv.slice(2);
for (const offer of offers) {
  const [port = '', list = ''] = offer.split('=');
  const servers = list.split(',');
  let next = 0;
  createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const host = servers[next++ % servers.length];
    join(client, connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true }));
  }).listen({ port: Number(port), host: address, backlog: BACKLOG });
}

/**
 * `node datagrams.js VIP CLIENTS ROUNDS`: sends a datagram to port 53 of the VIP from each of so many addresses,
 * 198.18.0.1 and up, round after round, each from a socket of its own.
 */
import { createSocket, type Socket } from 'node:dgram';
import { setTimeout as pause } from 'node:timers/promises';

const [vip = '', clients, rounds] = process.argv.slice(2);

async function socketOf(address: string): Promise<Socket> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(4000, address, resolve));
  return socket;
}

const sockets = await Promise.all(Array.from({ length: Number(clients) }, (_, i) => socketOf(`198.18.0.${i + 1}`)));
for (let round = 0; round < Number(rounds); round++) {
  await Promise.all(
    sockets.map((socket) => new Promise<void>((resolve) => socket.send('question', 53, vip, () => resolve()))),
  );
  await pause(5); // the TAP's queues hold a round or two
}
for (const socket of sockets) socket.close();

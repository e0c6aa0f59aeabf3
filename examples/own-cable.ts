/**
 * A director on a network interface of one's own making. StreamDevice takes any object that emits Ethernet frames and
 * takes them, as npm's `tuntap2` does; here each frame travels in a UDP datagram through the machine's own loopback,
 * as it could travel to another machine. Run it anywhere, with `npm run example -- own-cable`.
 */
import { createSocket, type Socket } from 'node:dgram';
import { EventEmitter, once } from 'node:events';
import { Director, type FrameStream, StreamDevice } from '../src/index.ts';
import { MemoryHost, MemorySwitch, type WireEnd } from '../src/testing/index.ts';

/** One end of a cable that carries each frame in a datagram. */
class UdpCable extends EventEmitter implements FrameStream {
  readonly name = 'cable0';
  readonly #socket: Socket;
  readonly #farPort: number;

  constructor(socket: Socket, farPort: number) {
    super();
    this.#socket = socket;
    this.#farPort = farPort;
    socket.on('message', (frame) => this.emit('data', frame));
    socket.on('error', (error) => this.emit('error', error));
  }

  write(frame: Uint8Array): void {
    this.#socket.send(frame, this.#farPort, '127.0.0.1');
  }

  release(done: () => void): void {
    this.#socket.close(done);
  }
}

/** Makes two ends that are connected with each other. */
async function layCable(): Promise<[UdpCable, UdpCable]> {
  const sockets = [createSocket('udp4'), createSocket('udp4')] as const;
  for (const socket of sockets) {
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
  }
  const [near, far] = sockets;
  return [new UdpCable(near, far.address().port), new UdpCable(far, near.address().port)];
}

const [near, far] = await layCable();

// The far end goes into a switch with a client and two servers.
const wire = new MemorySwitch();
const plug: WireEnd = { inject: (frame) => far.write(frame), onTransmit: null };
const unplug = wire.connect(plug);
far.on('data', (frame) => plug.onTransmit?.(frame));
const client = new MemoryHost({ interfaces: [{ addresses: ['192.0.2.17/24'], wire }] });
const servers = [11, 12].map((n) => {
  const interfaces = [{ addresses: [`192.0.2.${n}/24`], wire }];
  const host = new MemoryHost({ interfaces, loopback: ['192.0.2.100'], arpIgnore: 1, arpAnnounce: 2 });
  host.listen(80, (socket) => socket.end(`I am 192.0.2.${n}`));
  return host;
});

// The near end is the director's network interface.
const device = new StreamDevice(near);
const director = new Director({ interfaces: [{ device, addresses: ['192.0.2.1/24'] }] });
director.ipvsadm('-A -t 192.0.2.100:80 -s rr');
director.ipvsadm('-a -t 192.0.2.100:80 -r 192.0.2.11 -g');
director.ipvsadm('-a -t 192.0.2.100:80 -r 192.0.2.12 -g');
director.start();

for (let i = 0; i < 4; i++) {
  for await (const answer of client.connect('192.0.2.100', 80)) console.log(String(answer));
}
const { received, sent } = director.counters();
console.log(`${received} frames came in by the cable and ${sent} went out; lost on the way:`, device.drops);

for (const host of [client, ...servers]) host.close();
unplug();
far.release(() => {});
director.stop(); // releases the near end

/**
 * A director on memory devices and a hand-driven clock, in the place that the recordings have it in: clients behind a
 * gateway, servers 10.0.0.11 .. 18 on eth0 and 172.16.0.11 .. 18 on eth1, all with known MAC addresses.
 */
import fc from 'fast-check';
import {
  Director,
  type DirectorOptions,
  type FrameOffload,
  ManualClock,
  MemoryDevice,
  type MemoryDeviceOptions,
  type VerdictName,
} from '../../src/index.ts';
import { buildFrame } from '../../src/packet/build.ts';
import type { FrameFields, PacketFields, TcpFields, UdpFields } from '../../src/packet/build-fields.ts';
import { printFrame } from '../../src/packet/print.ts';

// The same cases in every run, so that a failure is never a matter of luck; FC_SEED=<number> looks elsewhere.
fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 1) });

/** In how many worker threads the labs' directors work: the same tests are run with and without (test/threads). */
const THREADS = Number(process.env.LAB_THREADS ?? 0);

export const DIP = '10.0.0.1';
export const VIP = '10.0.0.100';
export const CLIENT = '192.0.2.1';
export const GATEWAY = '10.0.0.254';
export const DIP6 = '2001:db8::1';
export const VIP6 = '2001:db8::100';
export const CLIENT6 = '2001:db8:c::1';
export const GATEWAY6 = '2001:db8::fe';
export const GATEWAY_MAC = '02:00:00:00:fe:fe';
export const MACS: Readonly<Record<string, string>> = { eth0: '02:00:00:00:00:01', eth1: '02:00:00:00:00:02' };
export const BROADCAST_MAC = 'ff:ff:ff:ff:ff:ff';

/** The key of a service on the VIP. */
export function tcp(port = 80, address: string = VIP): { protocol: 'tcp'; address: string; port: number } {
  return { protocol: 'tcp', address, port };
}

export function udp(port = 53, address: string = VIP): { protocol: 'udp'; address: string; port: number } {
  return { protocol: 'udp', address, port };
}

/** The address of server `n` (11 .. 18). */
export function rs(n: number): string {
  return `10.0.0.${n}`;
}

/** Its IPv6 address. */
export function rs6(n: number): string {
  return `2001:db8::${n.toString(16)}`;
}

/** Its IPv6 address on eth1, where it is 172.16.0.n. */
export function inner6(n: number): string {
  return `2001:db8:1::${n.toString(16)}`;
}

export function rsMac(n: number): string {
  return `02:00:00:00:01:${n.toString(16).padStart(2, '0')}`;
}

/** A repeatable source of numbers in [0, 1) (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A frame that the director sent. */
export interface Sent {
  readonly dev: string;
  readonly frame: Uint8Array;
  /** As tcpdump would print it. */
  readonly text: string;
  /** What of it is left to the device, if anything is. */
  readonly left?: FrameOffload | undefined;
}

export function textOf(frame: Uint8Array): string {
  return printFrame(new DataView(frame.buffer, frame.byteOffset, frame.byteLength), 0, frame.length);
}

const SERVERS = [11, 12, 13, 14, 15, 16, 17, 18];

export interface Packet {
  readonly from?: string;
  readonly to?: string;
  readonly port?: number;
  readonly toPort?: number;
  readonly ttl?: number;
}

export class Lab {
  readonly clock: ManualClock = new ManualClock();
  readonly devices: Readonly<Record<string, MemoryDevice>>;
  readonly director: Director;
  readonly #sent: Sent[] = [];

  /**
   * @param options what differs from the usual; the interfaces are always eth0 and eth1.
   * @param ipv6 whether the interfaces have an IPv6 address too.
   * @param devices what differs of the devices, by name.
   */
  constructor(
    options: Partial<DirectorOptions> = {},
    ipv6 = false,
    devices: Readonly<Record<string, Partial<MemoryDeviceOptions>>> = {},
  ) {
    this.devices = Object.fromEntries(
      ['eth0', 'eth1'].map((name) => [
        name,
        new MemoryDevice({ name, mac: MACS[name]!, capacity: 256, ...devices[name] }),
      ]),
    );
    for (const device of Object.values(this.devices)) {
      device.onTransmit = (frame, left) => this.#sent.push({ dev: device.name, frame, text: textOf(frame), left });
    }
    const neighbours = [GATEWAY, GATEWAY6].map((ip) => ({ ip, mac: GATEWAY_MAC, dev: 'eth0' }));
    for (const n of SERVERS) {
      for (const ip of [rs(n), rs6(n)]) neighbours.push({ ip, mac: rsMac(n), dev: 'eth0' });
      for (const ip of [`172.16.0.${n}`, inner6(n)]) neighbours.push({ ip, mac: rsMac(n), dev: 'eth1' });
    }
    this.director = new Director({
      interfaces: [
        { device: this.devices.eth0!, addresses: ipv6 ? [`${DIP}/24`, `${DIP6}/64`] : [`${DIP}/24`] },
        {
          device: this.devices.eth1!,
          addresses: ipv6 ? ['172.16.0.1/24', '2001:db8:1::1/64'] : ['172.16.0.1/24'],
        },
      ],
      neighbours,
      routes: [GATEWAY, ...(ipv6 ? [GATEWAY6] : [])].map((via) => ({ to: 'default', via })),
      forwarding: true,
      clock: this.clock,
      maxConnections: 4096,
      threads: THREADS,
      ...((options.threads ?? THREADS) === 0 && { random: seededRandom(1) }),
      ...options,
    });
    this.director.start();
  }

  /** Lets time pass; returns what was sent meanwhile. */
  sleep(seconds: number): Sent[] {
    this.clock.advance(seconds * 1000);
    // Threads know the time by what they are asked last, and a frame may wake them before they are asked for the next.
    if (THREADS > 0) this.director.getTimeouts();
    return this.#sent.splice(0);
  }

  /** Frames arrive, all in one burst; returns what the director sends because of them. */
  receive(frames: Uint8Array | readonly Uint8Array[], dev = 'eth0'): Sent[] {
    for (const frame of frames instanceof Uint8Array ? [frames] : frames) this.devices[dev]!.inject(frame);
    this.director.poll();
    return this.#sent.splice(0);
  }

  /** A frame arrives of which something is left to do; returns what the director sends because of it. */
  receiveLeft([frame, left]: readonly [Uint8Array, FrameOffload], dev = 'eth0'): Sent[] {
    this.devices[dev]!.inject(frame, left);
    this.director.poll();
    return this.#sent.splice(0);
  }

  /** A frame arrives from the gateway, or from whom `fields.ethernet` says. */
  frame(
    fields: PacketFields & { readonly ethernet?: Partial<NonNullable<FrameFields['ethernet']>> },
    dev = 'eth0',
  ): Sent[] {
    const ethernet = { source: GATEWAY_MAC, destination: MACS[dev]!, ...fields.ethernet };
    return this.receive(buildFrame({ ...fields, ethernet }), dev);
  }

  /** A TCP segment from a client to the VIP. */
  client(flags: string, packet: Packet = {}, fields: Partial<TcpFields> = {}): Sent[] {
    const { from = CLIENT, to = VIP, port = 40000, toPort = 80, ttl = 64 } = packet;
    return this.frame({
      ip: { source: from, destination: to, ttl },
      tcp: { sourcePort: port, destinationPort: toPort, flags, ...fields },
    });
  }

  /** A TCP segment from server `n` to a client. */
  server(n: number, flags: string, packet: Packet = {}): Sent[] {
    const { from = rs(n), to = CLIENT, port = 80, toPort = 40000 } = packet;
    return this.frame({
      ethernet: { source: rsMac(n), destination: MACS.eth0! },
      ip: { source: from, destination: to },
      tcp: { sourcePort: port, destinationPort: toPort, flags },
    });
  }

  /** A datagram from a client to the VIP. */
  datagram(packet: Packet = {}, fields: Partial<UdpFields> = {}): Sent[] {
    const { from = CLIENT, to = VIP, port = 40000, toPort = 53, ttl = 64 } = packet;
    return this.frame({
      ip: { source: from, destination: to, ttl },
      udp: { sourcePort: port, destinationPort: toPort, ...fields },
    });
  }

  /** The verdicts that counted something since this was last called, with how much. */
  verdicts(): Partial<Record<VerdictName, number>> {
    const now = this.director.counters().verdicts;
    const changed = Object.entries(now).filter(([name, count]) => count !== (this.#before[name] ?? 0));
    const result = Object.fromEntries(changed.map(([name, count]) => [name, count - (this.#before[name] ?? 0)]));
    this.#before = now;
    return result;
  }
  #before: Readonly<Record<string, number>> = {};
}

/** ICMP: errors that servers, clients and routers send about what they got, and echo requests. */
import { DIP, DIP6, GATEWAY, SERVER_NUMBERS, server4, server6, serverMac, VIP6, VIPS } from '../lab-host.ts';
import type { Random, Weighted } from '../random.ts';
import { type Arrival, fromBackend, fromGateway, packetOf } from './frames.ts';
import type { Family, Flow, Model } from './model.ts';

type Kind = readonly [type: number, code: number, rest: number];

const KINDS4: readonly Weighted<Kind>[] = [
  [4, [3, 3, 0]],
  [3, [3, 1, 0]],
  [3, [3, 4, 1400]],
  [1, [3, 4, 576]],
  [1, [3, 4, 0]],
  [1, [3, 13, 0]],
  [3, [11, 0, 0]],
  [1, [11, 1, 0]],
  [1, [4, 0, 0]],
  [1, [12, 0, 0]],
  [0.5, [5, 1, 0x0a0000fe]],
];
const KINDS6: readonly Weighted<Kind>[] = [
  [4, [1, 4, 0]],
  [3, [1, 0, 0]],
  [3, [2, 0, 1400]],
  [1, [2, 0, 1280]],
  [3, [3, 0, 0]],
  [1, [4, 0, 0]],
];
/** Hop-by-hop options, routing, fragment, destination options. */
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 44, 60]);
/** Holds all extension headers that are made here. */
const WITH_EXTENSIONS = 80;
const ECHO4 = 8;
const ECHO6 = 128;
const ROUTER4 = '203.0.113.1';
const ROUTER6 = '2001:db8:f::1';

/** An error about a packet, as long as the sender cares to make it. */
function error(random: Random, source: string, destination: string, about: Uint8Array): Uint8Array {
  const is6 = source.includes(':');
  const [type, code, rest] = random.weighted(is6 ? KINDS6 : KINDS4);
  const header = is6 ? 40 : (about[0] & 15) * 4;
  const least = is6 && EXTENSIONS.has(about[6]) ? WITH_EXTENSIONS : 0;
  const length = random.pick([header + 8, header + 8, header + 20, 128, 548, header + 4, 20, random.int(0, 60)]);
  const data = about.slice(0, Math.max(least, length));
  const message = { type, code, rest, data };
  return packetOf(source, destination, is6 ? { icmpv6: message } : { icmp: message });
}

/** An error about a conversation, or an echo request. */
export function icmp(model: Model): Arrival {
  const { random, flows } = model;
  const candidates = flows.filter(({ toServer, toClient }) => toServer !== null || toClient !== null);
  if (candidates.length === 0 || random.chance(0.15)) return echo(model);
  const flow = random.pick(candidates);
  if (flow.toServer !== null && flow.backend !== null && (flow.toClient === null || random.chance(0.6))) {
    return aboutRequest(random, flow, flow.toServer);
  }
  if (flow.toClient !== null) {
    const router = flow.family === 6 ? ROUTER6 : ROUTER4;
    return fromGateway(error(random, random.pick([flow.client, router]), flow.address, flow.toClient));
  }
  return echo(model);
}

/** The server, or a router before it, could not deliver what the director sent. */
function aboutRequest(random: Random, flow: Flow, packet: Uint8Array): Arrival {
  const backend = flow.backend!;
  const [source, destination] = endsOf(packet);
  // Of a tunnel packet the sender is the director; else it is the client, and the error passes through the director.
  const is6 = source.includes(':');
  const neighbour = random.pick(SERVER_NUMBERS);
  const from = random.chance(0.8) ? destination : is6 ? server6(neighbour) : server4(neighbour);
  return fromBackend(backend, error(random, from, source, packet));
}

function endsOf(packet: Uint8Array): [source: string, destination: string] {
  const is6 = packet[0] >>> 4 === 6;
  const text = (at: number) =>
    is6
      ? Array.from({ length: 8 }, (_, i) => ((packet[at + 2 * i] << 8) | packet[at + 2 * i + 1]).toString(16)).join(':')
      : Array.from(packet.subarray(at, at + 4)).join('.');
  return is6 ? [text(8), text(24)] : [text(12), text(16)];
}

function echo({ random, features }: Model): Arrival {
  const family: Family = features.has('ipv6') && random.chance(0.3) ? 6 : 4;
  const data = random.bytes(random.pick([0, 8, 56, 57]));
  const number = random.pick(SERVER_NUMBERS);
  if (family === 6) {
    const to = random.pick([DIP6, VIP6]);
    const packet = (from: string) =>
      packetOf(from, to, { icmpv6: { type: ECHO6, rest: random.int(0, 0xffffffff), data } });
    return random.chance(0.5)
      ? fromGateway(packet('2001:db8:c::1'))
      : { device: 'eth0', mac: serverMac(number), packet: packet(server6(number)) };
  }
  const to = random.pick([DIP, ...VIPS]);
  const packet = (from: string) => packetOf(from, to, { icmp: { type: ECHO4, rest: random.int(0, 0xffffffff), data } });
  return random.chance(0.5)
    ? fromGateway(packet(random.pick(['192.0.2.1', GATEWAY])))
    : { device: 'eth0', mac: serverMac(number), packet: packet(server4(number)) };
}

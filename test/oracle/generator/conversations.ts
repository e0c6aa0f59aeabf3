/** What clients and servers say to each other: mostly as they should. */
import type { ExtensionFields, SctpChunk } from '../../../src/packet/build-fields.ts';
import { SERVER_NUMBERS, server4, server6, serverMac, VIP6, VIPS } from '../lab-host.ts';
import type { Random, Weighted } from '../random.ts';
import { type Arrival, fromBackend, fromGateway, type IpExtras, packetOf, type Transport } from './frames.ts';
import {
  type Backend,
  type Family,
  type Flow,
  MAX_FLOWS,
  type Model,
  type Protocol,
  type ServiceModel,
} from './model.ts';

const PORTS: readonly number[] = [80, 443, 8080, 53, 9000, 5060, 8443];

const FIRST_FLAGS: readonly Weighted<string>[] = [
  [40, 'S'],
  [1, 'A'],
  [1, 'SA'],
  [1, 'R'],
  [1, 'FA'],
  [0.5, 'SEC'],
  [0.5, ''],
];
const CLIENT_FLAGS: readonly Weighted<string>[] = [
  [40, 'A'],
  [20, 'PA'],
  [12, 'FA'],
  [10, 'S'],
  [4, 'R'],
  [3, 'RA'],
  [1, 'SA'],
  [1, 'F'],
  [1, 'SF'],
  [1, ''],
  [1, 'FPU'],
  [1, 'SR'],
];
const SERVER_FLAGS: readonly Weighted<string>[] = [
  [30, 'SA'],
  [30, 'A'],
  [20, 'PA'],
  [12, 'FA'],
  [3, 'R'],
  [3, 'RA'],
  [3, 'S'],
  [1, 'F'],
  [1, ''],
];

/** Chunk types of SCTP: INIT 1, INIT ACK 2, COOKIE ECHO 10, COOKIE ACK 11, DATA 0, SACK 3 ... */
const CLIENT_CHUNKS: readonly Weighted<number>[] = [
  [6, 1],
  [8, 10],
  [8, 0],
  [4, 3],
  [2, 4],
  [4, 7],
  [3, 8],
  [3, 14],
  [2, 6],
  [1, 9],
  [1, 2],
  [1, 11],
  [1, 200],
];
const SERVER_CHUNKS: readonly Weighted<number>[] = [
  [8, 2],
  [8, 11],
  [6, 0],
  [4, 3],
  [2, 5],
  [3, 7],
  [4, 8],
  [2, 14],
  [2, 6],
  [1, 9],
  [1, 1],
];

/** Chains of IPv6 extension headers: hop-by-hop options, destination options, a routing header that is used up. */
const EXTENSIONS: readonly (readonly ExtensionFields[])[] = [
  [{ type: 0 }],
  [{ type: 60 }],
  [{ type: 0 }, { type: 60 }],
  [{ type: 60, data: Uint8Array.of(0x1e, 2, 1, 2) }],
  [{ type: 60, data: Uint8Array.of(0x9e, 2, 1, 2) }],
  [{ type: 43, data: Uint8Array.of(4, 0, 0, 0, 0, 0) }],
  [{ type: 43, data: Uint8Array.of(0, 1, 0, 0, 0, 0) }],
];

const FTP_LINES: readonly string[] = [
  'PASV\r\n',
  'EPSV\r\n',
  'USER anonymous\r\n',
  'PORT 192,0,2,1,156,64\r\n',
  'EPRT |1|192.0.2.1|40000|\r\n',
];

/** Begins a conversation, with a service if there is one. */
export function newFlow(model: Model): Flow {
  const { random, services, marks, flows } = model;
  const service = services.length > 0 && random.chance(0.93) ? random.pick(services) : null;
  const known = service !== null ? flows.filter(({ address }) => address === service.address) : [];
  // A client port that was used before: its connection may still be there.
  if (known.length > 0 && random.chance(0.08))
    return { ...random.pick(known), clientSequence: 5000, serverSequence: 9000 };
  const target = targetOf(model, service, marks.length > 0);
  const flow: Flow = {
    ...target,
    client: client(random, target.family),
    clientPort: random.chance(0.02) ? 20 : random.int(40000, 40040),
    clientSequence: random.chance(0.1) ? 0xffffff00 : random.int(1, 1_000_000),
    serverSequence: random.int(1, 1_000_000),
    backend: null,
    toServer: null,
    toClient: null,
    packets: 0,
  };
  flows.push(flow);
  if (flows.length > MAX_FLOWS) flows.shift();
  return flow;
}

function client(random: Random, family: Family): string {
  if (family === 6) return `2001:db8:c:${random.int(0, 2)}::${random.int(1, 12).toString(16)}`;
  return random.chance(0.8) ? `192.0.2.${random.int(1, 12)}` : `198.51.${random.int(100, 101)}.${random.int(1, 250)}`;
}

function targetOf(
  { random, features, marks }: Model,
  service: ServiceModel | null,
  hasMarks: boolean,
): Pick<Flow, 'protocol' | 'family' | 'address' | 'port'> {
  if (service === null || (service.protocol === null && !hasMarks)) {
    const family: Family = features.has('ipv6') && random.chance(0.2) ? 6 : 4;
    const protocol = random.weighted<Protocol>([
      [3, 'tcp'],
      [features.has('udp') ? 2 : 0, 'udp'],
      [features.has('sctp') ? 1 : 0, 'sctp'],
    ]);
    return { protocol, family, address: family === 6 ? VIP6 : random.pick(VIPS), port: random.pick(PORTS) };
  }
  if (service.protocol === null) {
    const rule = marks.find(
      ({ mark, address }) => mark === service.mark && address.includes(':') === (service.family === 6),
    );
    const { protocol, address, port } = rule ?? random.pick(marks);
    return { protocol, family: address.includes(':') ? 6 : 4, address, port };
  }
  const port = service.port === 0 || random.chance(0.02) ? random.pick(PORTS) : service.port;
  return { protocol: service.protocol, family: service.family, address: service.address, port };
}

/** The fields of an IP header that are nobody's concern, mostly the usual ones. */
function header({ random, features }: Model, { family, protocol }: Flow): IpExtras {
  const usual: IpExtras = family === 4 ? { id: random.int(1, 9999) } : {};
  if (!features.has('mutations') || !random.chance(0.15)) return usual;
  const { ttl, tos, special }: Record<string, IpExtras> = {
    ttl: { ttl: random.pick([0, 1, 2, 255]) },
    tos: { tos: random.int(0, 255) },
    special: family === 4 ? { df: true } : { flowLabel: random.int(0, 0xfffff) },
  };
  // Linux looks for the TCP or SCTP header of such a packet where its extension headers are, and believes what it finds.
  if (family === 6 && protocol === 'udp' && features.has('extensions') && random.chance(0.4))
    return { extensions: random.pick(EXTENSIONS) };
  return { ...usual, ...random.pick([ttl, tos, special, { ...ttl, ...special }]) };
}

/** How much data a packet carries: little, or so much that it just fits, or does not. */
function payload({ random }: Model, flow: Flow): Uint8Array {
  if (random.chance(0.9)) return random.bytes(random.int(0, 12));
  const header = flow.family === 6 ? 60 : 40;
  return random.bytes(
    random.pick([500, 1400, 1440, 1452, 1460, 1480, 1500]) - (header + random.pick([0, 0, 4, 8, 20])),
  );
}

/** What the client says next. */
export function fromClient(model: Model, flow: Flow): Arrival {
  const transport = speak(model, flow, true);
  flow.packets++;
  return fromGateway(packetOf(flow.client, flow.address, transport, header(model, flow)));
}

/** What the server says next, by the way that its packets take to the client. */
export function fromServer(model: Model, flow: Flow): Arrival {
  const backend = flow.backend ?? anyBackend(model, flow);
  const transport = speak(model, flow, false, backend.port);
  const source = backend.isNat ? backend.address : model.random.chance(0.5) ? flow.address : backend.address;
  // What seems to come from the director itself does not expire here: Linux would tell itself, and believe it.
  const ip = source === flow.address ? {} : header(model, flow);
  return fromBackend(backend, packetOf(source, flow.client, transport, ip));
}

/** A server that may have nothing to do with the conversation. */
function anyBackend({ random }: Model, flow: Flow): Backend {
  const number = random.pick(SERVER_NUMBERS);
  const address = flow.family === 6 ? server6(number) : server4(number);
  return { device: 'eth0', mac: serverMac(number), address, port: flow.port, isNat: true };
}

function speak(model: Model, flow: Flow, isClient: boolean, serverPort: number = flow.port): Transport {
  const { random } = model;
  const ports = isClient
    ? { sourcePort: flow.clientPort, destinationPort: flow.port }
    : { sourcePort: serverPort, destinationPort: flow.clientPort };
  switch (flow.protocol) {
    case 'udp':
      return { udp: { ...ports, data: datagram(model, flow), zeroChecksum: flow.family === 4 && random.chance(0.1) } };
    case 'sctp':
      return { sctp: { ...ports, verificationTag: random.int(0, 5), chunks: chunks(random, flow, isClient) } };
    default:
      return { tcp: { ...ports, ...segment(model, flow, isClient) } };
  }
}

function datagram(model: Model, flow: Flow): Uint8Array | string {
  const { random, features } = model;
  if (!features.has('sip') || flow.port !== 5060 || random.chance(0.1)) return payload(model, flow);
  const call = random.int(1, 4);
  return `INVITE sip:a@example.org SIP/2.0\r\nCall-ID: call-${call}@example.org\r\nCSeq: 1 INVITE\r\n\r\n`;
}

function chunks(random: Random, flow: Flow, isClient: boolean): SctpChunk[] {
  const type =
    flow.packets === 0 && isClient && random.chance(0.9)
      ? 1
      : random.weighted(isClient ? CLIENT_CHUNKS : SERVER_CHUNKS);
  const list: SctpChunk[] = [{ type, data: random.bytes(random.pick([0, 4, 16, 17])) }];
  if (random.chance(0.15)) list.push({ type: random.pick([0, 6, 3]), data: random.bytes(8) });
  return list;
}

function segment(model: Model, flow: Flow, isClient: boolean) {
  const { random } = model;
  const isFirst = flow.packets === 0 && isClient;
  const flags = random.chance(0.02)
    ? random.int(0, 255)
    : random.weighted(isFirst ? FIRST_FLAGS : isClient ? CLIENT_FLAGS : SERVER_FLAGS);
  const data = typeof flags === 'string' && flags.includes('P') ? tcpData(model, flow, isClient) : new Uint8Array();
  const [sequence, acknowledgement] = isClient
    ? [flow.clientSequence, flow.serverSequence]
    : [flow.serverSequence, flow.clientSequence];
  // A retransmission says the same again.
  if (!random.chance(0.1)) {
    const taken = data.length + (typeof flags === 'string' && /[SF]/.test(flags) ? 1 : 0);
    if (isClient) flow.clientSequence = (flow.clientSequence + taken) >>> 0;
    else flow.serverSequence = (flow.serverSequence + taken) >>> 0;
  }
  const options = random.chance(0.1) ? Uint8Array.of(2, 4, 5, 0xb4, 1, 1, 4, 2) : new Uint8Array();
  return { flags, sequence, acknowledgement, data, options };
}

function tcpData(model: Model, flow: Flow, isClient: boolean): Uint8Array {
  const { random, features } = model;
  if (features.has('ftp') && flow.port === 21 && random.chance(0.7)) {
    if (isClient) return new TextEncoder().encode(random.pick(FTP_LINES));
    const address = (flow.backend?.address ?? '10.0.0.11').replaceAll('.', ',');
    return new TextEncoder().encode(
      random.pick([
        `227 Entering Passive Mode (${address},${random.int(4, 255)},${random.int(0, 255)})\r\n`,
        '229 Entering Extended Passive Mode (|||40123|)\r\n',
        '220 ready\r\n',
      ]),
    );
  }
  return payload(model, flow);
}

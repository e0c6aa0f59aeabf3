/** Makes scenarios up, one step after the other, from what Linux answered to the ones before. */
import { SysctlValues } from '../../../src/sysctl.ts';
import type { FrameStep, Step } from '../../conformance/scenario.ts';
import { GATEWAY_MAC, SERVER_NUMBERS, server4, server6, serverBehind, serverMac, serverOfMac } from '../lab-host.ts';
import { Random } from '../random.ts';
import { addServer, addService, type Command, change, list, mistake, restore, statistics } from './commands.ts';
import { fromClient, fromServer, newFlow } from './conversations.ts';
import { icmp } from './errors.ts';
import type { Feature } from './features.ts';
import { fragmented, longDatagram } from './fragments.ts';
import {
  type Arrival,
  arrivalStep,
  ETHERNET_HEADER,
  frameOf,
  frameStep,
  fromGateway,
  macText,
  packetOf,
} from './frames.ts';
import type { Flow, Model } from './model.ts';
import { mutate } from './mutations.ts';

/** The kernel folds counters into what it shows every two seconds. */
const FOLD_S = 2.5;
/** More than a tick of the kernel: what is due with the next one has happened. */
const TICK_S = 0.025;
/** Within three ticks connections of a removed server end: measured 5 to 24 ms after the command. */
const REMOVAL_S = 0.045;
/** Timed scenarios are few, since Linux needs the time. */
const TIMED_SHARE = 0.12;
/** Overload defences take effect within a second. */
const DEFENCE_S = 1.3;

const TUNABLES: Readonly<Record<string, readonly number[]>> = knownOnly({
  cache_bypass: [0, 1],
  conn_reuse_mode: [0, 1, 2, 3],
  expire_nodest_conn: [0, 1],
  expire_quiescent_template: [0, 1],
  ignore_tunneled: [0, 1],
  nat_icmp_send: [0, 1],
  pmtu_disc: [0, 1],
  schedule_icmp: [0, 1],
  sloppy_tcp: [0, 1],
  sloppy_sctp: [0, 1],
  snat_reroute: [0, 1],
});
const DEFENCES: Readonly<Record<string, readonly number[]>> = { secure_tcp: [0, 3], drop_packet: [0, 3] };

/** Of tunables the ones that the director has. */
function knownOnly(tunables: Readonly<Record<string, readonly number[]>>): Readonly<Record<string, readonly number[]>> {
  const known = Object.keys(new SysctlValues());
  return Object.fromEntries(Object.entries(tunables).filter(([name]) => known.includes(name)));
}

interface Pending {
  readonly step: Step;
  /** What its answer tells. */
  readonly saw?: (answered: Step) => void;
}

export class Generator {
  readonly #model: Model;
  readonly #queue: Pending[] = [];
  #saw: (answered: Step) => void = () => {};
  #endsConnectionsOfRemoved = false;

  /** @param seed the same seed makes the same scenario, as long as Linux answers the same. */
  constructor(seed: number, features: ReadonlySet<Feature>) {
    const random = new Random(seed);
    const isTimed = random.chance(TIMED_SHARE);
    this.#model = { random, features, isTimed, services: [], marks: [], flows: [] };
    this.#setUp();
  }

  next(): Step {
    while (this.#queue.length === 0) this.#invent();
    const { step, saw } = this.#queue.shift()!;
    this.#saw = saw ?? (() => {});
    return step;
  }

  /** Takes Linux's answer to the step before. */
  saw(answered: Step): void {
    this.#saw(answered);
  }

  #setUp(): void {
    const model = this.#model;
    const { random, features } = model;
    for (let i = random.int(1, 3); i > 0; i--) {
      // The model learns by success, so the servers' commands need the service before it is there.
      const planned: Model = { ...model, services: [] };
      const service = addService(planned);
      service.succeeded();
      const [added] = planned.services;
      const servers = Array.from({ length: random.int(1, 4) }, () => addServer(planned, added));
      const marked = added.protocol === null;
      if (marked) this.#addMarks(added.mark, added.family);
      const commands = [{ line: service.line, succeeded: () => void model.services.push(added) }, ...servers];
      if (random.chance(0.7)) this.#push(restore(commands));
      else for (const command of commands) this.#push(command);
    }
    if (features.has('sysctls')) for (let i = random.int(0, 3); i > 0; i--) this.#tune();
  }

  #addMarks(mark: number, family: 4 | 6): void {
    const { random, features, marks } = this.#model;
    for (let i = random.int(1, 2); i > 0; i--) {
      const protocol = features.has('udp') && random.chance(0.3) ? 'udp' : 'tcp';
      const address = family === 6 ? '2001:db8::100' : random.pick(['10.0.0.100', '10.0.0.101', '203.0.113.80']);
      const port = random.pick([80, 443]);
      const rule = { protocol, address, port, mark } as const;
      this.#queue.push({
        step: { mark: { proto: protocol, dst: address, dport: port, value: mark } },
        saw: () => void marks.push(rule),
      });
    }
  }

  #push({ line, succeeded }: Command): void {
    this.#queue.push({
      step: { exec: line, status: 0, out: '' },
      saw: (answered) => {
        if ('exec' in answered && answered.status === 0) succeeded();
      },
    });
  }

  #exec(line: string): void {
    this.#push({ line, succeeded: () => {} });
  }

  #tune(): void {
    const { random } = this.#model;
    const table = this.#model.isTimed && random.chance(0.3) ? DEFENCES : TUNABLES;
    const name = random.pick(Object.keys(table));
    const value = random.pick(table[name]);
    this.#queue.push({ step: { sysctl: `net.ipv4.vs.${name}`, value: String(value) } });
    if (name === 'expire_nodest_conn') this.#endsConnectionsOfRemoved = value !== 0;
    if (table === DEFENCES) this.#queue.push({ step: { sleep: DEFENCE_S } });
  }

  #invent(): void {
    const model = this.#model;
    const { random, features, flows } = model;
    const may = (feature: Feature, weight: number) => (features.has(feature) ? weight : 0);
    const action = random.weighted<() => void>([
      [flows.length === 0 ? 100 : 22, () => this.#client(newFlow(model))],
      [flows.length === 0 ? 0 : 42, () => this.#client(random.pick(flows))],
      [flows.length === 0 ? 0 : 32, () => this.#server(random.pick(flows))],
      [may('icmp', 7), () => this.#send(icmp(model), null)],
      [may('fragments', 2.5), () => this.#fragments(newFlow(model))],
      [may('transit', 2), () => this.#send(this.#transit(), null)],
      [may('commands', 2.5), () => this.#change()],
      [3.5, () => this.#exec(list(model))],
      [may('bad-commands', 0.6), () => this.#exec(mistake(model))],
      [may('sysctls', 0.8), () => this.#tune()],
      [this.#model.isTimed ? may('statistics', 1) : 0, () => this.#statistics()],
      [
        this.#model.isTimed ? may('time', 0.7) : 0,
        () => this.#queue.push({ step: { sleep: random.pick([0.5, 1.6, 3.6, 5.2]) } }),
      ],
    ]);
    action();
  }

  #change(): void {
    this.#push(change(this.#model));
    if (this.#endsConnectionsOfRemoved) this.#queue.push({ step: { sleep: REMOVAL_S } });
  }

  #statistics(): void {
    this.#queue.push({ step: { sleep: FOLD_S } });
    this.#exec(statistics(this.#model));
  }

  #client(flow: Flow): void {
    const mayReuse = flow.packets > 0;
    const arrival = fromClient(this.#model, flow);
    this.#send(arrival, flow);
    // A connection that is over ends with the kernel's next tick, and nobody knows how far that is.
    if (mayReuse && opensConnection(arrival.packet)) this.#queue.push({ step: { sleep: TICK_S } });
  }

  #server(flow: Flow): void {
    this.#send(fromServer(this.#model, flow), flow);
  }

  #fragments(flow: Flow): void {
    const { random } = this.#model;
    for (const piece of fragmented(this.#model, flow, fromGateway(longDatagram(random, flow)))) {
      this.#queue.push({ step: arrivalStep(piece) });
    }
  }

  #send(arrival: Arrival, flow: Flow | null): void {
    const { random, features } = this.#model;
    let frame = frameOf(arrival);
    const isOdd = features.has('mutations') && random.chance(0.06) && !isFromDirector(arrival.packet);
    if (isOdd) frame = mutate(this.#model, frame, arrival.device);
    const saw = flow === null || isOdd ? undefined : (answered: Step) => learn(flow, answered as FrameStep);
    this.#queue.push({ step: frameStep(arrival.device, frame), ...(saw === undefined ? {} : { saw }) });
  }

  /** A packet that only passes through the director, or tries to. */
  #transit(): Arrival {
    const { random, features } = this.#model;
    const number = random.pick(SERVER_NUMBERS);
    const is6 = features.has('ipv6') && random.chance(0.3);
    const server = is6 ? server6(number) : random.chance(0.5) ? server4(number) : serverBehind(number);
    const ports = { sourcePort: random.pick([80, 443, 8080, 53, 9000]), destinationPort: random.int(40000, 40040) };
    const transport = random.chance(0.5)
      ? { tcp: { ...ports, flags: random.pick(['S', 'A', 'SA', 'R']) } }
      : { udp: ports };
    const far = is6 ? `2001:db8:c::${random.int(1, 9)}` : `192.0.2.${random.int(1, 12)}`;
    if (random.chance(0.5)) return fromGateway(packetOf(far, server, transport, { ttl: random.pick([64, 64, 2, 1]) }));
    const device = server.startsWith('172') ? 'eth1' : 'eth0';
    return { device, mac: serverMac(number), packet: packetOf(server, far, transport) };
  }
}

/** Whether a packet seems to come from the director itself. */
function isFromDirector(packet: Uint8Array): boolean {
  const source = packet[0] >>> 4 === 6 ? packet.subarray(8, 24) : packet.subarray(12, 16);
  const isOwn6 = source.length === 16 && source[14] === 1 && source[15] === 0;
  const isOwn4 = source[0] === 10 && source[2] === 0 && (source[3] === 100 || source[3] === 101 || source[3] === 1);
  return isOwn6 || (source.length === 4 && isOwn4);
}

/** Whether it may be a SYN or an INIT: those end old connections. */
function opensConnection(packet: Uint8Array): boolean {
  const is6 = packet[0] >>> 4 === 6;
  const transport = is6 ? 40 : (packet[0] & 15) * 4;
  const protocol = is6 ? packet[6] : packet[9];
  return protocol === 6 ? (packet[transport + 13] & 2) !== 0 : protocol === 132;
}

/** Reads off the frames where the director sends a conversation. */
function learn(flow: Flow, { tx, rx }: FrameStep): void {
  const isFromClient = macText(Buffer.from(tx.frame, 'hex').subarray(6, 12)) === GATEWAY_MAC;
  for (const { dev, frame } of rx) {
    const bytes = Buffer.from(frame, 'hex');
    const to = macText(bytes.subarray(0, 6));
    const packet = Uint8Array.from(bytes.subarray(ETHERNET_HEADER));
    const number = serverOfMac(to);
    if (isFromClient && number !== null) {
      flow.toServer = packet;
      flow.backend = backendOf(flow, dev, to, number, packet);
    } else if (!isFromClient && to === GATEWAY_MAC) flow.toClient = packet;
  }
}

function backendOf(flow: Flow, device: string, mac: string, number: number, packet: Uint8Array): Flow['backend'] {
  const is6 = packet[0] >>> 4 === 6;
  const view = new DataView(packet.buffer);
  const destination = is6
    ? Array.from({ length: 8 }, (_, i) => view.getUint16(24 + 2 * i).toString(16)).join(':')
    : Array.from(packet.subarray(16, 20)).join('.');
  const protocol = is6 ? packet[6] : packet[9];
  const isSame = protocol === { tcp: 6, udp: 17, sctp: 132 }[flow.protocol] && is6 === (flow.family === 6);
  const header = is6 ? 40 : (packet[0] & 15) * 4;
  const isNat = isSame && serverNumberOf(destination) && packet.length >= header + 4;
  if (isNat) return { device, mac, address: destination, port: view.getUint16(header + 2), isNat };
  const address = flow.family === 6 ? `2001:db8::${number.toString(16)}` : server4(number);
  return { device, mac, address, port: flow.port, isNat: false };
}

function serverNumberOf(address: string): boolean {
  return /^(10\.0\.0\.1[1-8]|172\.16\.0\.1[1-8]|2001:db8:0:0:0:0:0:(b|c|d|e|f|10|11|12))$/.test(address);
}

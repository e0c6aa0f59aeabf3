/** Address translation with connection tracking, as a router with iptables' DNAT and SNAT rules does it. */
import type { Clock } from '../clock.ts';
import { invalidOption } from '../errors.ts';
import { ICMP_HEADER, icmpType } from '../packet/icmp.ts';
import * as ipv4 from '../packet/ipv4.ts';
import { type Flow, flowKey, flowOf, moveToFlow, reversed } from './flow.ts';
import { isIcmpError } from './icmp-message.ts';
import { networkOf } from './ipv4-address.ts';
import type { MemoryInterface } from './memory-interface.ts';
import { isPort, readIpv4, readIpv4Prefix } from './options.ts';
import type { Packet } from './packet.ts';

/** What comes for `address` (and `port`) goes to `to` (and `toPort`) instead. */
export interface DnatRule {
  /** Default: any protocol, if no port is named either. */
  readonly protocol?: 'tcp' | 'udp';
  readonly address: string;
  /** Needs `protocol`. */
  readonly port?: number;
  readonly to: string;
  /** Default: the port stays. Needs `port`. */
  readonly toPort?: number;
}

/** What comes from the network `from` leaves as if it came from `to`. */
export interface SnatRule {
  readonly from: string;
  readonly to: string;
  /** Only what leaves on the interface of this name. Default: any. */
  readonly out?: string;
}

export interface NatOptions {
  readonly dnat?: readonly DnatRule[];
  readonly snat?: readonly SnatRule[];
}

interface Dnat {
  readonly protocol: number | undefined;
  readonly address: number;
  readonly port: number | undefined;
  readonly to: number;
  readonly toPort: number | undefined;
}

interface Snat {
  readonly network: number;
  readonly length: number;
  readonly to: number;
  readonly out: string | undefined;
}

interface Tracked {
  readonly flow: Flow;
  readonly key: string;
  lastSeenMs: number;
}

/** How long a flow is remembered after its last packet, in milliseconds. */
const IDLE_MS = 600_000;
const FIRST_FREE_PORT = 1024;

/** The translations of one router. The first packet of a flow decides by the rules, all others follow it. */
export class Nat {
  readonly #clock: Clock;
  readonly #dnat: readonly Dnat[];
  readonly #snat: readonly Snat[];
  /** What each direction of a tracked flow becomes. */
  readonly #translations = new Map<string, Tracked>();
  #sweptMs: number;

  /** @throws DirectorError ERR_INVALID_OPTION */
  constructor(clock: Clock, options: NatOptions) {
    this.#clock = clock;
    this.#sweptMs = clock.now();
    this.#dnat = (options.dnat ?? []).map(readDnat);
    this.#snat = (options.snat ?? []).map(readSnat);
  }

  /**
   * Translates a packet that came in. `outOf` tells on which interface it would be forwarded to a destination;
   * `undefined` means that it would not.
   */
  translate(packet: Packet, outOf: (destination: number) => MemoryInterface | undefined): void {
    if (packet.protocol === ipv4.PROTO_ICMP && !packet.isFragment && packet.payloadLength >= ICMP_HEADER) {
      if (isIcmpError(icmpType(packet.view, packet.payloadAt))) {
        this.#translateError(packet);
        return;
      }
    }
    const end = packet.at + packet.length;
    const from = flowOf(packet.view, packet.at, end);
    if (from === undefined) return;
    const to = this.#follow(from) ?? this.#begin(from, outOf);
    if (to !== undefined) moveToFlow(packet.view, packet.at, end, from, to);
  }

  /** Remembers a packet that the router itself sends, so that no rule catches its answers. */
  track(packet: Packet): void {
    const flow = flowOf(packet.view, packet.at, packet.at + packet.length);
    if (flow !== undefined && this.#follow(flow) === undefined) this.#remember(flow, flow);
  }

  #follow(flow: Flow): Flow | undefined {
    const tracked = this.#translations.get(flowKey(flow));
    if (tracked === undefined) return undefined;
    const nowMs = this.#clock.now();
    tracked.lastSeenMs = nowMs;
    const answers = this.#translations.get(flowKey(reversed(tracked.flow)));
    if (answers !== undefined) answers.lastSeenMs = nowMs;
    return tracked.flow;
  }

  #begin(from: Flow, outOf: (destination: number) => MemoryInterface | undefined): Flow | undefined {
    const dnat = this.#dnat.find(
      (rule) =>
        rule.address === from.destination &&
        (rule.protocol === undefined || rule.protocol === from.protocol) &&
        (rule.port === undefined || rule.port === from.destinationPort),
    );
    const destination = dnat?.to ?? from.destination;
    const out = outOf(destination);
    if (out === undefined) return undefined;
    const snat = this.#snat.find(
      (rule) =>
        networkOf(from.source, rule.length) === rule.network && (rule.out === undefined || rule.out === out.name),
    );
    const to = this.#withFreePort({
      ...from,
      source: snat?.to ?? from.source,
      destination,
      destinationPort: dnat?.toPort ?? from.destinationPort,
    });
    this.#remember(from, to);
    return to;
  }

  /** The flow, with another source port if its answers could not be told from another flow's. */
  #withFreePort(flow: Flow): Flow {
    let candidate = flow;
    for (let port = FIRST_FREE_PORT; this.#translations.has(flowKey(reversed(candidate))) && port < 0x10000; port++) {
      candidate = { ...flow, sourcePort: port };
      if (flow.protocol === ipv4.PROTO_ICMP) candidate = { ...candidate, destinationPort: port };
    }
    return candidate;
  }

  #remember(from: Flow, to: Flow): void {
    const lastSeenMs = this.#clock.now();
    if (lastSeenMs - this.#sweptMs >= IDLE_MS) this.#sweep(lastSeenMs);
    const answers = reversed(to);
    const tracked = [
      { key: flowKey(from), flow: to, lastSeenMs },
      { key: flowKey(answers), flow: reversed(from), lastSeenMs },
    ];
    for (const entry of tracked) this.#translations.set(entry.key, entry);
  }

  #sweep(nowMs: number): void {
    this.#sweptMs = nowMs;
    for (const { key, lastSeenMs } of this.#translations.values()) {
      if (nowMs - lastSeenMs >= IDLE_MS) this.#translations.delete(key);
    }
  }

  /** An error quotes a packet as it was after translation: both go back to how its sender knows the flow. */
  #translateError(packet: Packet): void {
    const { view } = packet;
    const quotedAt = packet.payloadAt + ICMP_HEADER;
    const end = packet.at + packet.length;
    if (!packet.payloadIsValid() || quotedAt + ipv4.IPV4_HEADER > end) return;
    const quoted = flowOf(view, quotedAt, end);
    if (quoted === undefined) return;
    const answer = this.#follow(reversed(quoted));
    if (answer === undefined) return;
    moveToFlow(view, quotedAt, end, quoted, reversed(answer));
    ipv4.setSource(view, packet.at, answer.source);
    ipv4.setDestination(view, packet.at, answer.destination);
    ipv4.writeChecksum(view, packet.at);
    packet.sealPayload();
  }
}

function readDnat(rule: DnatRule, i: number): Dnat {
  const option = `nat.dnat[${i}]`;
  const { protocol, port, toPort } = rule;
  if (protocol !== undefined && protocol !== 'tcp' && protocol !== 'udp') {
    throw invalidOption(`${option}.protocol`, protocol, "'tcp' or 'udp'");
  }
  if (port !== undefined && (protocol === undefined || !isPort(port))) {
    throw invalidOption(`${option}.port`, port, 'a port of the protocol that is named with it');
  }
  if (toPort !== undefined && (port === undefined || !isPort(toPort))) {
    throw invalidOption(`${option}.toPort`, toPort, 'a port to map the named port to');
  }
  return {
    protocol: protocol === undefined ? undefined : protocol === 'tcp' ? ipv4.PROTO_TCP : ipv4.PROTO_UDP,
    address: readIpv4(rule.address, `${option}.address`),
    port,
    to: readIpv4(rule.to, `${option}.to`),
    toPort,
  };
}

function readSnat(rule: SnatRule, i: number): Snat {
  const option = `nat.snat[${i}]`;
  const { address, length } = readIpv4Prefix(rule.from, `${option}.from`);
  const to = readIpv4(rule.to, `${option}.to`);
  return { network: networkOf(address, length), length, to, out: rule.out };
}

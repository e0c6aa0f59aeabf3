/** The ICMP (RFC 792) of one host: answers echoes, sends its own, tells TCP and UDP about errors. */
import type { Clock } from '../clock.ts';
import * as icmp from '../packet/icmp.ts';
import { IPV4_HEADER } from '../packet/ipv4.ts';
import { type Flow, flowOf } from './flow.ts';
import { echo, isIcmpError } from './icmp-message.ts';
import type { Packet } from './packet.ts';
import { socketError } from './socket-error.ts';
import { Timer } from './timer.ts';

/** An ICMP error about a packet that this host sent. */
export interface IcmpError {
  readonly flow: Flow;
  /** What a Node socket calls it: `ECONNREFUSED`, `EHOSTUNREACH`, ... */
  readonly code: string;
  /** The next hop's MTU, where the packet was too long for it, in bytes. */
  readonly mtu: number | undefined;
}

export interface IcmpStackOptions {
  readonly clock: Clock;
  readonly send: (packet: Packet) => void;
  readonly onError: (error: IcmpError) => void;
}

interface Ping {
  readonly answered: () => void;
  readonly failed: (code: string) => void;
}

const ECHO_DATA = new TextEncoder().encode('abcdefghijklmnopqrstuvwxyz012345');
/** What routers that do not name the MTU mean (RFC 1191 section 5): the least that every host takes. */
const LEAST_MTU = 576;
const UNREACHABLE_CODES = ['ENETUNREACH', 'EHOSTUNREACH', 'ENOPROTOOPT', 'ECONNREFUSED'];

export class IcmpStack {
  readonly #options: IcmpStackOptions;
  readonly #pings = new Map<number, Ping>();
  #nextIdentifier = 1;

  constructor(options: IcmpStackOptions) {
    this.#options = options;
  }

  /** Sends an echo request; resolves to the time until its answer, in milliseconds. */
  ping(from: number, to: number, timeoutMs: number): Promise<number> {
    const { clock } = this.#options;
    const identifier = this.#nextIdentifier;
    this.#nextIdentifier = (identifier % 0xffff) + 1;
    const ends = { localAddress: from, localPort: 0, remoteAddress: to, remotePort: 0 };
    return new Promise((resolve, reject) => {
      const settled = (): void => {
        timer.disarm();
        this.#pings.delete(identifier);
      };
      const failed = (code: string): void => {
        settled();
        reject(socketError(code, 'ping', ends));
      };
      const timer = new Timer(clock, () => failed('ETIMEDOUT'));
      const startMs = clock.now();
      const answered = (): void => {
        settled();
        resolve(clock.now() - startMs);
      };
      this.#pings.set(identifier, { answered, failed });
      timer.arm(timeoutMs);
      this.#options.send(echo(icmp.ICMP_ECHO, from, to, identifier * 0x10000 + 1, ECHO_DATA));
    });
  }

  /** Takes a packet for this host whose checksum is right. */
  receive(packet: Packet): void {
    const { view, payloadAt: at } = packet;
    const type = icmp.icmpType(view, at);
    if (type === icmp.ICMP_ECHO) {
      const data = packet.bytes.subarray(at + icmp.ICMP_HEADER, at + packet.payloadLength);
      const rest = icmp.icmpRest(view, at);
      this.#options.send(echo(icmp.ICMP_ECHO_REPLY, packet.destination, packet.source, rest, data));
    } else if (type === icmp.ICMP_ECHO_REPLY) {
      this.#pings.get(icmp.icmpRest(view, at) >>> 16)?.answered();
    } else if (isIcmpError(type)) {
      this.#receiveError(packet, type, icmp.icmpCode(view, at));
    }
  }

  /** An echo request did not get out, or ICMP reports that it did not arrive. */
  unreachable(identifier: number, code: string): void {
    this.#pings.get(identifier)?.failed(code);
  }

  close(): void {
    for (const { failed } of [...this.#pings.values()]) failed('ECANCELED');
  }

  #receiveError(packet: Packet, type: number, code: number): void {
    const { view, payloadAt: at } = packet;
    const quotedAt = at + icmp.ICMP_HEADER;
    const end = at + packet.payloadLength;
    const flow = quotedAt + IPV4_HEADER <= end ? flowOf(view, quotedAt, end) : undefined;
    if (flow === undefined) return;
    const unreachable = type === icmp.ICMP_DEST_UNREACH;
    const tooLong = unreachable && code === icmp.UNREACH_FRAG_NEEDED;
    this.#options.onError({
      flow,
      code: (unreachable ? UNREACHABLE_CODES[code] : undefined) ?? 'EHOSTUNREACH',
      mtu: tooLong ? icmp.icmpRest(view, at) & 0xffff || LEAST_MTU : undefined,
    });
  }
}

import { PROTO_SCTP, PROTO_TCP, PROTO_UDP } from '../packet/ipv4.ts';
import type { Timeouts } from '../services/config.ts';
import { seconds, TICKS_PER_SECOND } from '../ticks.ts';
import { FLAGS, META, TEMPLATE } from './layout.ts';
import { SCTP_STATE_NAMES, sctpTimeouts } from './sctp-state.ts';
import { TCP_ESTABLISHED, TCP_FIN_WAIT, TCP_STATE_NAMES, tcpTimeouts } from './tcp-state.ts';
import { UDP_NORMAL, UDP_STATE_NAMES, udpTimeouts } from './udp-state.ts';

/** A template's states, by number. Those that a sync master tells of are taken as they come, and may be none of these. */
const TEMPLATE_STATE_NAMES = ['NONE', 'ASSURED'];

/** The timeouts in force, in ticks, by protocol and state. */
export class ProtocolTimeouts {
  readonly tcp: Int32Array = tcpTimeouts();
  readonly udp: Int32Array = udpTimeouts();
  readonly sctp: Int32Array = sctpTimeouts();

  /** The three of `--set`, in seconds. */
  get(): Timeouts {
    return {
      tcp: this.tcp[TCP_ESTABLISHED] / TICKS_PER_SECOND,
      tcpfin: this.tcp[TCP_FIN_WAIT] / TICKS_PER_SECOND,
      udp: this.udp[UDP_NORMAL] / TICKS_PER_SECOND,
    };
  }

  /** Changes those that are given and not 0; connections take them up at their next packet. */
  set(timeouts: Partial<Timeouts>): void {
    if (timeouts.tcp) this.tcp[TCP_ESTABLISHED] = seconds(timeouts.tcp);
    if (timeouts.tcpfin) this.tcp[TCP_FIN_WAIT] = seconds(timeouts.tcpfin);
    if (timeouts.udp) this.udp[UDP_NORMAL] = seconds(timeouts.udp);
  }
}

/** The name of a connection's state, as `ipvsadm -Lc` prints it. */
export function stateName(rows: Int32Array, row: number): string {
  const meta = rows[row + META];
  const state = meta >>> 24;
  if ((rows[row + FLAGS] & TEMPLATE) !== 0) return TEMPLATE_STATE_NAMES[state] ?? 'ERR!';
  switch ((meta >>> 16) & 0xff) {
    case PROTO_TCP:
      return TCP_STATE_NAMES[state];
    case PROTO_UDP:
      return UDP_STATE_NAMES[state];
    case PROTO_SCTP:
      return SCTP_STATE_NAMES[state];
    default:
      return 'NONE';
  }
}

/** How many states a protocol has; 0 for one that is not balanced. */
export function stateCount(protocol: number): number {
  switch (protocol) {
    case PROTO_TCP:
      return TCP_STATE_NAMES.length;
    case PROTO_UDP:
      return UDP_STATE_NAMES.length;
    case PROTO_SCTP:
      return SCTP_STATE_NAMES.length;
    default:
      return 0;
  }
}

/** UDP has one state (kernel behaviour: net/netfilter/ipvs/ip_vs_proto_udp.c). */
import { seconds } from '../ticks.ts';

export const UDP_NORMAL = 0;
export const UDP_STATE_NAMES: readonly string[] = ['UDP'];

/** A fresh table of timeouts in ticks, by state number. `--set` changes it. */
export function udpTimeouts(): Int32Array {
  return Int32Array.of(seconds(300));
}

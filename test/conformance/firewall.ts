/**
 * What the host's packet filter, by which Linux gets its marks, does beside marking: a packet whose ports a rule cannot read
 * is dropped before IPVS sees it (kernel behaviour: tcp_mt, udp_mt, sctp_mt). The director's own marks drop nothing.
 */
import { inPrefix, type Prefix, parsePrefix } from '../../src/address.ts';
import { DST, dissectIpv4, dissectIpv6, Packet } from '../../src/packet/dissect.ts';
import * as ethernet from '../../src/packet/ethernet.ts';
import * as ipv4 from '../../src/packet/ipv4.ts';
import { PROTOCOLS } from '../../src/services/settings.ts';
import type { MarkStep } from './scenario.ts';

export class Firewall {
  readonly #rules: { readonly protocol: number; readonly destination: Prefix }[] = [];
  readonly #packet = new Packet();

  add({ proto, dst }: MarkStep['mark']): void {
    this.#rules.push({ protocol: PROTOCOLS[proto], destination: parsePrefix(dst, 'dst') });
  }

  drops(frame: Uint8Array): boolean {
    if (this.#rules.length === 0 || !this.#dissect(frame)) return false;
    const packet = this.#packet;
    const offset = packet.fragment & ipv4.OFFSET_MASK;
    // A fragment that would reach into the TCP header in front of it counts as an attack.
    const isUnreadable = offset === 0 ? !packet.hasTransport : offset === 1 && packet.protocol === ipv4.PROTO_TCP;
    return isUnreadable && this.#rules.some((rule) => this.#concerns(rule));
  }

  #concerns({ protocol, destination }: { readonly protocol: number; readonly destination: Prefix }): boolean {
    const { family, address } = this.#packet;
    return protocol === this.#packet.protocol && destination.family === family && inPrefix(destination, address, DST);
  }

  #dissect(frame: Uint8Array): boolean {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const at = ethernet.ETHERNET_HEADER;
    if (frame.length < at) return false;
    const type = ethernet.etherType(view, 0);
    if (type === ethernet.ETHERTYPE_IPV4) return dissectIpv4(this.#packet, view, at, frame.length - at);
    return type === ethernet.ETHERTYPE_IPV6 && dissectIpv6(this.#packet, view, at, frame.length - at);
  }
}

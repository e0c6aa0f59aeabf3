/** ARP (RFC 826): answers for the director's own addresses, learns from what it hears, asks for neighbours. */
import type { Words } from '../address.ts';
import * as arp from '../packet/arp.ts';
import { ETHERTYPE_ARP } from '../packet/ethernet.ts';
import type { Host } from './host.ts';
import { isHostAddress } from './icmp.ts';
import type { Interface } from './interface.ts';
import type { Neighbour } from './neighbours.ts';
import type { Wire } from './wire.ts';

const scratch: Words = new Int32Array(2);

/**
 * Takes an ARP packet of at least 28 bytes at `at`.
 * @returns whether it was ARP for IPv4 over Ethernet at all.
 */
export function receiveArp(wire: Wire, host: Host, on: Interface, at: number, tick: number): boolean {
  const { view } = wire;
  if (!arp.isEthernetIpv4(view, at)) return false;
  const operation = arp.operation(view, at);
  scratch[0] = arp.senderIp(view, at);
  scratch[1] = arp.targetIp(view, at);
  const senderHigh = arp.senderMacHigh(view, at);
  const senderLow = arp.senderMacLow(view, at);
  // Nothing is believed of senders that cannot be: Linux finds no way back to them.
  if ((scratch[0] !== 0 && !isHostAddress(scratch[0])) || host.isOwn(4, scratch, 0)) return true;
  const forUs = host.isOwn(4, scratch, 1);
  // A sender of 0.0.0.0 asks whether an address is taken (RFC 5227): it has none to be remembered by.
  if (scratch[0] !== 0) {
    const asks = forUs && operation === arp.ARP_REQUEST;
    const answers = forUs && operation === arp.ARP_REPLY;
    host.neighbours.learn(on, 4, scratch, 0, senderHigh, senderLow, asks, answers, tick);
  }
  if (forUs && operation === arp.ARP_REQUEST && !host.isSilent) {
    const slot = wire.takeSlot();
    arp.writeArp(view, slot, arp.ARP_REPLY, on.macHigh, on.macLow, scratch[1], senderHigh, senderLow, scratch[0]);
    wire.sendTo(on, slot, arp.ARP_LENGTH, ETHERTYPE_ARP, senderHigh, senderLow);
  }
  return true;
}

/** Asks who has the neighbour's address: everybody, or the one who had it last. `source` is the sender of the packet that waits. */
export function sendArpRequest(wire: Wire, host: Host, neighbour: Neighbour, direct: boolean, source: number): void {
  const on = neighbour.interface;
  scratch[0] = source;
  const own = host.isOwn(4, scratch, 0) ? scratch : on.sourceFor(4, neighbour.words, 0)?.words;
  if (own === undefined) return;
  const slot = wire.takeSlot();
  const high = direct ? neighbour.macHigh : 0xffff;
  const low = direct ? neighbour.macLow : -1;
  arp.writeArp(wire.view, slot, arp.ARP_REQUEST, on.macHigh, on.macLow, own[0], 0, 0, neighbour.words[0]);
  wire.sendTo(on, slot, arp.ARP_LENGTH, ETHERTYPE_ARP, high, low);
}

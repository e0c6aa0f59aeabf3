import { parseAddress, parseMac } from '../../../src/address.ts';
import type { Device, FrameBatch } from '../../../src/devices/device.ts';
import * as arp from '../../../src/packet/arp.ts';
import * as checksum from '../../../src/packet/checksum.ts';
import * as ethernet from '../../../src/packet/ethernet.ts';
import * as icmp from '../../../src/packet/icmp.ts';
import * as ipv4 from '../../../src/packet/ipv4.ts';
import { makeBatch } from './batch.ts';

/** The smallest host there can be: answers ARP requests and pings for one address, in place, burst by burst. */
export class Responder {
  answered = 0;
  readonly #device: Device;
  readonly #address: number;
  readonly #mac: { readonly high: number; readonly low: number };
  readonly #batch: FrameBatch;
  readonly #view: DataView;

  constructor(device: Device, address: string, burst = 16) {
    this.#device = device;
    this.#address = parseAddress(address, 'address').words[0]!;
    this.#mac = parseMac(device.mac, 'mac');
    this.#batch = makeBatch(burst);
    this.#view = new DataView(this.#batch.memory.buffer);
  }

  /** Takes one burst and answers it. What is left is the device's to wake us for. */
  wake(): void {
    const batch = this.#batch;
    batch.count = batch.offsets.length;
    const received = this.#device.receive(batch);
    const answer = { ...batch, offsets: new Int32Array(received), lengths: new Int32Array(received), count: 0 };
    for (let i = 0; i < received; i++) {
      if (!this.#answer(batch.offsets[i]!)) continue;
      answer.offsets[answer.count] = batch.offsets[i]!;
      answer.lengths[answer.count++] = batch.lengths[i]!;
    }
    this.answered += this.#device.transmit(answer);
  }

  #answer(at: number): boolean {
    const view = this.#view;
    const packet = at + ethernet.ETHERNET_HEADER;
    const type = ethernet.etherType(view, at);
    const answered =
      type === ethernet.ETHERTYPE_ARP
        ? this.#answerArp(packet)
        : type === ethernet.ETHERTYPE_IPV4 && this.#pong(packet);
    if (!answered) return false;
    ethernet.setDst(view, at, ethernet.srcHigh(view, at), ethernet.srcLow(view, at));
    ethernet.setSrc(view, at, this.#mac.high, this.#mac.low);
    return true;
  }

  #answerArp(at: number): boolean {
    const view = this.#view;
    if (arp.operation(view, at) !== arp.ARP_REQUEST || arp.targetIp(view, at) !== this.#address) return false;
    const high = arp.senderMacHigh(view, at);
    const low = arp.senderMacLow(view, at);
    const { high: ourHigh, low: ourLow } = this.#mac;
    arp.writeArp(view, at, arp.ARP_REPLY, ourHigh, ourLow, this.#address, high, low, arp.senderIp(view, at));
    return true;
  }

  #pong(at: number): boolean {
    const view = this.#view;
    const header = at + ipv4.headerLength(view, at);
    if (ipv4.destination(view, at) !== this.#address || ipv4.protocol(view, at) !== ipv4.PROTO_ICMP) return false;
    if (icmp.icmpType(view, header) !== icmp.ICMP_ECHO) return false;
    const length = at + ipv4.totalLength(view, at) - header;
    icmp.writeIcmpHeader(view, header, icmp.ICMP_ECHO_REPLY, 0, icmp.icmpRest(view, header));
    icmp.setIcmpChecksum(view, header, checksum.checksum(view, header, length));
    const source = ipv4.source(view, at);
    ipv4.setSource(view, at, this.#address);
    ipv4.setDestination(view, at, source);
    return true;
  }
}

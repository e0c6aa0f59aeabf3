import * as ethernet from '../packet/ethernet.ts';
import type { Impairment } from './impairment.ts';
import type { Wire, WireEnd } from './wire.ts';

export interface MemorySwitchOptions {
  /** Loses, doubles and delays frames. Default: every frame arrives, in order. */
  readonly impairment?: Impairment;
}

interface Delivery {
  readonly frame: Uint8Array;
  readonly from: WireEnd;
  roundsLeft: number;
}

const GROUP_BIT = 0x0100;

/** A MAC address as one number: 48 bits fit in a double. */
function macKey(high: number, low: number): number {
  return high * 0x1_0000_0000 + (low >>> 0);
}

/**
 * A learning Ethernet switch (IEEE 802.1D without spanning tree). Frames are delivered in rounds, one a turn of the
 * event loop, so that no end is ever called from inside its own transmission.
 */
export class MemorySwitch implements Wire {
  /** Called for every frame that enters the switch, before it is delivered: a mirror port. */
  onFrame: ((frame: Uint8Array) => void) | null = null;
  readonly #impairment: Impairment | undefined;
  readonly #ends = new Set<WireEnd>();
  readonly #learned = new Map<number, WireEnd>();
  #deliveries: Delivery[] = [];
  #scheduled = false;

  constructor(options: MemorySwitchOptions = {}) {
    this.#impairment = options.impairment;
  }

  connect(end: WireEnd): () => void {
    this.#ends.add(end);
    end.onTransmit = (frame) => this.#enter(end, frame);
    return () => this.#disconnect(end);
  }

  #disconnect(end: WireEnd): void {
    if (!this.#ends.delete(end)) return;
    end.onTransmit = null;
    for (const [mac, port] of this.#learned) if (port === end) this.#learned.delete(mac);
  }

  #enter(from: WireEnd, frame: Uint8Array): void {
    if (frame.length < ethernet.ETHERNET_HEADER) return;
    this.onFrame?.(frame);
    if (this.#impairment === undefined) this.#deliveries.push({ frame, from, roundsLeft: 0 });
    else for (const roundsLeft of this.#impairment(frame)) this.#deliveries.push({ frame, from, roundsLeft });
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#deliveries.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => this.#round());
  }

  #round(): void {
    this.#scheduled = false;
    const deliveries = this.#deliveries;
    this.#deliveries = [];
    for (const delivery of deliveries) {
      if (delivery.roundsLeft-- > 0) this.#deliveries.push(delivery);
      else this.#deliver(delivery);
    }
    this.#schedule();
  }

  #deliver({ frame, from }: Delivery): void {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const sourceHigh = ethernet.srcHigh(view, 0);
    if ((sourceHigh & GROUP_BIT) === 0 && this.#ends.has(from)) {
      this.#learned.set(macKey(sourceHigh, ethernet.srcLow(view, 0)), from);
    }
    const high = ethernet.dstHigh(view, 0);
    const known = (high & GROUP_BIT) === 0 ? this.#learned.get(macKey(high, ethernet.dstLow(view, 0))) : undefined;
    if (known !== undefined) {
      if (known !== from) known.inject(frame);
      return;
    }
    for (const end of [...this.#ends]) if (end !== from) end.inject(frame);
  }
}

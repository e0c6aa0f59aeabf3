/** What Linux says on its console, which recordings show among what commands print. */
import {
  type DaemonOptions,
  type DestinationKey,
  type DestinationOptions,
  Director,
  DirectorError,
  type ManualClock,
  type ServiceEntry,
  type ServiceKey,
} from '../../src/index.ts';

/** At most this many messages of the packet path in this time (net.core.message_burst, message_cost). */
const MESSAGE_BURST = 10;
const MESSAGE_WINDOW_MS = 5000;
/** As much of an interface's name as the kernel gets to know. */
const INTERFACE_NAME = 15;

/** The messages since it was last read. */
export class Console {
  readonly #clock: ManualClock;
  #text = '';
  #windowStartMs = Number.NEGATIVE_INFINITY;
  #printed = 0;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  print(message: string): void {
    this.#text += `IPVS: ${message}\n`;
  }

  noDestination(service: ServiceEntry): void {
    const problem = problemOf(service);
    if (problem === null) return;
    const now = this.#clock.now();
    if (now - this.#windowStartMs > MESSAGE_WINDOW_MS) {
      this.#windowStartMs = now;
      this.#printed = 0;
    }
    if (++this.#printed <= MESSAGE_BURST) this.print(`${service.scheduler}: ${nameOf(service)} - ${problem}`);
  }

  read(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }
}

function nameOf({ fwmark, protocol, family, address, port }: ServiceEntry): string {
  if (fwmark !== 0) return `FWM ${fwmark} 0x${fwmark.toString(16).toUpperCase().padStart(8, '0')}`;
  return `${protocol.toUpperCase()} ${family === 6 ? `[${address}]` : address}:${port}`;
}

/** What a service's scheduler says when it finds no destination; null when it says nothing. */
function problemOf({ scheduler, destinations, stats }: ServiceEntry): string | null {
  const problem = 'no destination available';
  switch (scheduler) {
    case 'none':
      return null;
    case 'wrr':
      return destinations.some(({ weight }) => weight > 0) ? `${problem}: all destinations are overloaded` : problem;
    case 'lblcr': // only of addresses that it has had a destination for
      return stats.conns > 0 ? problem : null;
    default:
      return problem;
  }
}

/** Says of some of the commands that it refuses why, as the kernel does beside what it answers. */
export class TalkingDirector extends Director {
  onRefused: (message: string) => void = () => {};

  override addDestination(key: ServiceKey, destination: DestinationKey, options?: DestinationOptions): void {
    this.#told('ip_vs_add_dest', () => super.addDestination(key, destination, options));
  }

  override editDestination(key: ServiceKey, destination: DestinationKey, options?: DestinationOptions): void {
    this.#told('ip_vs_edit_dest', () => super.editDestination(key, destination, options));
  }

  override startDaemon(options: DaemonOptions): void {
    this.#told('start_sync_thread', () => super.startDaemon(options));
  }

  #told(operation: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof DirectorError && error.option === 'lowerThreshold') {
        this.onRefused(`${operation}(): lower threshold is higher than upper threshold`);
      }
      if (error instanceof DirectorError && error.option?.endsWith('mcastInterface')) {
        this.onRefused(`Unknown mcast interface: ${String(error.value).slice(0, INTERFACE_NAME)}`);
      }
      throw error;
    }
  }
}

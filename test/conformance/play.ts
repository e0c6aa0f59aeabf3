/** Plays a recording's steps to a Director on memory devices and a hand-driven clock, and writes down its answers. */
import { type Director, ManualClock, MemoryDevice } from '../../src/index.ts';
import { printFrame } from '../../src/packet/print.ts';
import { Console, TalkingDirector } from './console.ts';
import { Firewall } from './firewall.ts';
import type { RecordedFrame, Scenario, Step } from './scenario.ts';
import { Shell } from './shell.ts';

/**
 * What frames and commands took of the clock when recordings were made, in milliseconds: with these every expiry that the
 * recordings other than `diff-*` list comes out to the second.
 */
const FRAME_MS = 10;
const COMMAND_MS = 45;
const ETHERTYPE_ARP = 0x0806;
const PROTO_IGMP = 2;

function isArp(frame: Uint8Array): boolean {
  return ((frame[12] << 8) | frame[13]) === ETHERTYPE_ARP;
}

/** Neighbour discovery, router discovery and reports of multicast groups: in recordings only where they are the point. */
function isDiscovery(frame: Uint8Array): boolean {
  const type = (frame[12] << 8) | frame[13];
  if (type === 0x0800) return frame[23] === PROTO_IGMP;
  if (type !== 0x86dd) return false;
  const next = frame[20];
  return next === 0 || (next === 58 && ((frame[54] >= 133 && frame[54] <= 136) || frame[54] === 143));
}

/** Whether a scenario is about ARP: only then are the director's ARP frames among its answers. */
function isAboutArp(scenario: Scenario): boolean {
  return scenario.steps.some((step) => 'tx' in step && isArp(Buffer.from(step.tx.frame, 'hex')));
}

/** How the recording was made; all but ARP as the older ones. */
export interface PlayerOptions {
  /** Whether the kernel's messages appear among what commands print. Default true. */
  readonly console?: boolean;
  /** Whether devices complete checksums, so that frames show what Linux handed to them. Default true. */
  readonly checksumOffload?: boolean;
  /** Whether ARP frames belong to the answers. Default false. */
  readonly arp?: boolean;
}

function durationOf(step: Step): number {
  if ('sleep' in step) return step.sleep * 1000;
  return 'tx' in step ? FRAME_MS : COMMAND_MS;
}

/** A director on the host of a scenario, to be played step by step. */
export class Player {
  readonly #clock = new ManualClock();
  readonly director: Director;
  readonly #devices: ReadonlyMap<string, MemoryDevice>;
  readonly #console: Console | null;
  readonly #firewall = new Firewall();
  readonly #shell: Shell;
  readonly #sent: RecordedFrame[] = [];

  constructor(host: Scenario['host'], options: PlayerOptions = {}) {
    const { console = true, checksumOffload = true, arp = false } = options;
    this.#devices = new Map(
      host.interfaces.map(({ name, mac, mtu }) => {
        const device = new MemoryDevice({ name, mac, mtu, checksumOffload });
        device.onTransmit = (frame) => {
          if ((isArp(frame) && !arp) || isDiscovery(frame)) return;
          const note = printFrame(new DataView(frame.buffer), 0, frame.length);
          this.#sent.push({ dev: name, frame: Buffer.from(frame).toString('hex'), note });
        };
        return [name, device];
      }),
    );
    const { interfaces, neighbours, routes, forwarding } = host;
    const director = new TalkingDirector({
      interfaces: interfaces.map(({ name, addresses }) => ({ device: this.#devices.get(name)!, addresses })),
      neighbours,
      routes,
      forwarding,
      claimVips: false,
      icmpErrorsPerSecond: Number.POSITIVE_INFINITY,
      clock: this.#clock,
    });
    this.#console = console ? new Console(this.#clock) : null;
    director.on('noDestination', (service) => this.#console?.noDestination(service));
    director.onRefused = (message) => this.#console?.print(message);
    this.#shell = new Shell({
      ipvsadm: (words, stdin) => director.ipvsadm(words, stdin),
      'ipvsadm-save': (words) => director.ipvsadm(['-S', ...words]),
      'ipvsadm-restore': (_words, stdin) => {
        director.ipvsadm(['-C']);
        return director.ipvsadm(['-R'], stdin);
      },
    });
    this.director = director.start();
  }

  /** How many frames were sent since the last one arrived: they come first among the answers to the next. */
  get sent(): number {
    return this.#sent.length;
  }

  /**
   * Takes one step.
   * @param elapsedMs the time since the step before; default: what such steps took when recordings were made.
   * @returns the step with the director's answers in place of the recorded ones.
   */
  answer(step: Step, elapsedMs: number = durationOf(step)): Step {
    this.#clock.advance(elapsedMs);
    if ('exec' in step) {
      const { status, out } = this.#shell.run(step.exec);
      return { exec: step.exec, status, out: (this.#console?.read() ?? '') + out };
    }
    if ('tx' in step) {
      const device = this.#devices.get(step.tx.dev);
      if (device === undefined) throw new Error(`no device ${step.tx.dev}`);
      const frame = Buffer.from(step.tx.frame, 'hex');
      if (!this.#firewall.drops(frame)) device.inject(frame);
      this.director.poll();
      return { tx: step.tx, rx: this.#sent.splice(0) };
    }
    // What sets tunables and marks has read the console too, and does not say.
    if ('sysctl' in step || 'mark' in step) this.#console?.read();
    if ('sysctl' in step) {
      this.director.sysctl.set(step.sysctl, step.value);
    } else if ('mark' in step) {
      const { proto, dst, dport, value } = step.mark;
      this.director.marks.add({ protocol: proto, destination: dst, destinationPort: dport, mark: value });
      this.#firewall.add(step.mark);
    }
    return step;
  }

  close(): void {
    this.director.stop();
  }
}

/** The director's answers to a scenario, in the form of the scenario itself. */
export function play(scenario: Scenario): Scenario {
  const player = new Player(scenario.host, { ...scenario, arp: isAboutArp(scenario) });
  try {
    return { ...scenario, oracle: 'tapvs', steps: scenario.steps.map((step) => player.answer(step)) };
  } finally {
    player.close();
  }
}

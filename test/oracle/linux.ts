/**
 * Real Linux IPVS, as an ordinary process: User Mode Linux with this machine's file system (read only), two interfaces
 * that end in this process, and a shell. Needs Debian's packages user-mode-linux, busybox-static, ipvsadm, iptables,
 * iproute2 and ethtool, but not root.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildFrame } from '../../src/packet/build.ts';
import { printFrame } from '../../src/packet/print.ts';
import type { RecordedFrame, Scenario, Step } from '../conformance/scenario.ts';
import { FrameWire } from './frame-wire.ts';
import { initScript, NAMESPACE_SYSCTLS, READY, SHARED, sysctlCommands } from './init-script.ts';
import { isHostChatter, kernelChoice, markerSequence } from './kernel-choice.ts';

const PROGRAM = 'linux.uml';
const MEMORY = '160M';
const BOOT_MS = 60_000;
const COMMAND_MS = 20_000;
/** A marker that takes longer than this is lost: normally it takes a tenth of a millisecond. */
const MARKER_MS = 5000;
const POWEROFF_MS = 3000;
/** The name of the namespace that a scenario is played in. */
const NAMESPACE = 'scenario';
const END = '__END__';
const MARKER_IDENTIFIER = 0x7a7a;
const ETHERTYPE_ARP = 0x0806;

interface Interface {
  readonly name: string;
  readonly mac: string;
  readonly wire: FrameWire;
  /** An address of its own, and a neighbour there with its MAC address: markers that leave by this interface. */
  marker: { readonly neighbour: string; readonly mac: string } | null;
  seen: number;
}

/** A step answered by Linux, and when. */
export interface Answer {
  readonly step: Step;
  /** Milliseconds of this process's monotonic clock. */
  readonly atMs: number;
}

export class Linux {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #directory: string;
  readonly #interfaces: readonly Interface[];
  readonly #atExit = (): void => this.kill();
  #output = '';
  #wakeReader: () => void = () => {};
  #wakeMarker: () => void = () => {};
  #exited = false;
  #closed = false;
  #inScenario = false;
  #target = '';
  /** Files of `ip` commands, by what they say. */
  readonly #batches = new Map<string, string>();
  #sequence = 0;
  #received: { dev: string; frame: Buffer }[] = [];

  private constructor(
    child: ChildProcessByStdio<Writable, Readable, null>,
    directory: string,
    interfaces: readonly Interface[],
  ) {
    this.#process = child;
    this.#directory = directory;
    this.#interfaces = interfaces;
    child.stdout.setEncoding('latin1');
    child.stdout.on('data', (text: string) => {
      this.#output += text.replaceAll('\r', '');
      this.#wakeReader();
    });
    child.on('exit', () => {
      this.#exited = true;
      this.#wakeReader();
    });
    child.on('error', () => {
      this.#exited = true;
      this.#wakeReader();
    });
    child.stdin.on('error', () => {});
    // It does not notice by itself that nobody is there any more.
    process.once('exit', this.#atExit);
    for (const one of interfaces) one.wire.onFrame = (frame) => this.#receive(one, frame);
  }

  /**
   * Boots Linux with the interfaces of a host.
   * @throws Error when it does not come up.
   */
  static async boot(host: Scenario['host']): Promise<Linux> {
    const directory = mkdtempSync(join(tmpdir(), 'tapvs-oracle-'));
    const interfaces = await Promise.all(
      host.interfaces.map(async ({ name, mac }) => ({
        name,
        mac,
        wire: await FrameWire.open(),
        marker: null,
        seen: 0,
      })),
    );
    const init = join(directory, 'init.sh');
    const names = interfaces.map(({ name }) => name);
    writeFileSync(init, initScript(names, directory), { mode: 0o755 });
    const child = spawn(
      PROGRAM,
      [
        `mem=${MEMORY}`,
        'rootfstype=hostfs',
        'rootflags=/',
        'root=/dev/root',
        'ro',
        `init=${init}`,
        `uml_dir=${directory}`,
        'con=null',
        'con0=fd:0,fd:1',
        'ssl=null',
        'quiet',
        ...interfaces.map(({ mac, wire }, i) => `vec${i}:${wire.vectorOptions},depth=64,mac=${mac}`),
      ],
      // A process group of its own: User Mode Linux is many processes.
      { stdio: ['pipe', 'pipe', 'ignore'], detached: true },
    );
    const linux = new Linux(child, directory, interfaces);
    try {
      await linux.#readUntil(`${READY}\n`, BOOT_MS);
    } catch (error) {
      await linux.close();
      throw new Error(`${PROGRAM} does not boot; it needs the packages of test/oracle/linux.ts`, { cause: error });
    }
    return linux;
  }

  /** Begins anew on this host: nothing of the scenario before is left. */
  async reset(host: Scenario['host']): Promise<void> {
    if (this.#inScenario) {
      await this.#must(this.#batch(this.#interfaces.map(({ name }) => `link set ${name} netns 1`)));
      this.#write(`${END}\n`);
    }
    await this.#must(
      this.#batch([
        ...(this.#inScenario ? [`netns del ${NAMESPACE}`] : []),
        `netns add ${NAMESPACE}`,
        ...this.#interfaces.map(({ name }) => `link set ${name} netns ${NAMESPACE}`),
      ]),
    );
    this.#write(
      `busybox nsenter --net=/run/netns/${NAMESPACE} ` +
        `/bin/sh -c 'while read -r line; do [ "$line" = ${END} ] && break; eval "$line"; done'\n`,
    );
    this.#inScenario = true;
    await this.#must(sysctlCommands(NAMESPACE_SYSCTLS));
    await this.#must(
      this.#batch([
        'link set lo up',
        ...host.interfaces.flatMap(({ name, addresses }) => [
          `link set ${name} up`,
          ...addresses.map((address) => `addr add ${address} dev ${name}${address.includes(':') ? ' nodad' : ''}`),
        ]),
        ...host.neighbours.map(({ ip, dev, mac }) => `neigh add ${ip} lladdr ${mac} dev ${dev} nud permanent`),
        ...host.routes.map(({ to, via, dev }) => {
          const all = via.includes(':') ? '::/0' : '0.0.0.0/0';
          return `route add ${to === 'default' ? all : to} via ${via} dev ${dev}`;
        }),
      ]),
    );
    const [first] = host.interfaces;
    this.#target = first.addresses[0].split('/')[0];
    for (const one of this.#interfaces) {
      const neighbour = host.neighbours.find(({ dev, ip }) => dev === one.name && !ip.includes(':'));
      if (neighbour === undefined) throw new Error(`${one.name} has no neighbour that a marker could go to`);
      one.marker = { neighbour: neighbour.ip, mac: neighbour.mac };
    }
    this.#received = [];
    await this.#mark(this.#interfaces[0]);
    this.#received = [];
  }

  /** A command that runs lines of `ip` in one process: starting one takes long here. */
  #batch(lines: readonly string[]): string {
    const text = `${lines.join('\n')}\n`;
    let name = this.#batches.get(text);
    if (name === undefined) {
      // A file of its own for each text: Linux may remember what it read before.
      name = `batch${this.#batches.size}`;
      writeFileSync(join(this.#directory, name), text);
      this.#batches.set(text, name);
    }
    return `ip -batch ${SHARED}/${name}`;
  }

  /** Takes one step and records the answer. */
  async answer(step: Step, arp = false): Promise<Answer> {
    if ('exec' in step) {
      const { status, out } = await this.#run(step.exec);
      return { step: { exec: step.exec, status, out }, atMs: performance.now() };
    }
    if ('tx' in step) {
      const one = this.#interfaces.find(({ name }) => name === step.tx.dev);
      if (one === undefined) throw new Error(`no device ${step.tx.dev}`);
      const frame = Buffer.from(step.tx.frame, 'hex');
      const atMs = performance.now();
      one.wire.send(frame);
      await this.#mark(one);
      const rx = this.#received.splice(0).filter((sent) => arp || sent.frame.readUInt16BE(12) !== ETHERTYPE_ARP);
      return { step: { tx: step.tx, rx: rx.map((sent) => record(sent.dev, sent.frame, frame)) }, atMs };
    }
    if ('sysctl' in step) {
      await this.#must(`echo '${step.value}' > /proc/sys/${step.sysctl.replaceAll('.', '/')}`);
    } else if ('mark' in step) {
      const { proto, dst, dport, value } = step.mark;
      const program = dst.includes(':') ? 'ip6tables-legacy' : 'iptables-legacy';
      const rule = `-p ${proto} -d ${dst} --dport ${dport} -j MARK --set-mark ${value}`;
      await this.#must(`${program} -t mangle -A PREROUTING ${rule}`);
    } else {
      // Linux itself sleeps: on a busy machine its time may stand still while this process's goes on.
      await this.#must(`busybox sleep ${step.sleep}`, COMMAND_MS + step.sleep * 1000);
    }
    return { step, atMs: performance.now() };
  }

  /** Powers Linux off and lets go of everything. */
  async close(): Promise<void> {
    if (!this.#exited) {
      if (this.#inScenario) this.#write(`${END}\n`);
      this.#write('busybox poweroff -f\n');
      this.#process.stdin.end();
      const exit = new Promise<void>((done) => {
        this.#wakeReader = () => {
          if (this.#exited) done();
        };
      });
      await Promise.race([exit, sleep(POWEROFF_MS, undefined, { ref: true })]);
    }
    this.kill();
  }

  /** Ends Linux at once. */
  kill(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { pid } = this.#process;
    if (!this.#exited && pid !== undefined) {
      try {
        process.kill(-pid, 'SIGKILL');
      } catch {
        // It has ended in this moment.
      }
    }
    this.#exited = true;
    process.off('exit', this.#atExit);
    for (const { wire } of this.#interfaces) wire.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #receive(one: Interface, frame: Buffer): void {
    const sequence = markerSequence(frame, MARKER_IDENTIFIER);
    if (sequence !== null) {
      one.seen = sequence;
      this.#wakeMarker();
    } else if (!isHostChatter(frame)) this.#received.push({ dev: one.name, frame });
  }

  /**
   * Waits until Linux has handled all frames so far: behind them goes an echo request for each interface that an answer
   * may leave by, and each interface keeps order.
   */
  async #mark(from: Interface): Promise<void> {
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const sequence = this.#sequence;
    for (const { marker } of this.#interfaces) {
      from.wire.send(
        buildFrame({
          ethernet: { source: marker!.mac, destination: from.mac },
          ip: { source: marker!.neighbour, destination: this.#target },
          icmp: { type: 8, rest: MARKER_IDENTIFIER * 0x10000 + sequence },
        }),
      );
    }
    const isComplete = () => this.#interfaces.every(({ seen }) => seen === sequence);
    const deadline = performance.now() + MARKER_MS;
    while (!isComplete()) {
      await this.#pause(deadline, (wake) => {
        this.#wakeMarker = wake;
      });
      if (performance.now() >= deadline) throw new Error('Linux did not answer a marker');
    }
  }

  async #must(command: string, timeoutMs = COMMAND_MS): Promise<void> {
    const { status, out } = await this.#run(command, timeoutMs);
    if (status !== 0 || out !== '') throw new Error(`${command}: status ${status}: ${out}`);
  }

  async #run(command: string, timeoutMs = COMMAND_MS): Promise<{ status: number; out: string }> {
    // The mark is written in two parts, so that the terminal's echo of the command is no mark.
    this.#write(`{ ${command}; } 2>&1; echo "__E""ND__$?"\n`);
    const out = await this.#readUntil(END, timeoutMs);
    const status = Number(await this.#readUntil('\n', COMMAND_MS));
    return { status, out };
  }

  #write(text: string): void {
    this.#process.stdin.write(text);
  }

  async #readUntil(end: string, timeoutMs: number): Promise<string> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const at = this.#output.indexOf(end);
      if (at >= 0) {
        const text = this.#output.slice(0, at);
        this.#output = this.#output.slice(at + end.length);
        return text;
      }
      if (this.#exited) throw new Error(`${PROGRAM} has ended: ${this.#output}`);
      if (performance.now() >= deadline) throw new Error(`${PROGRAM} does not answer: ${this.#output}`);
      await this.#pause(deadline, (wake) => {
        this.#wakeReader = wake;
      });
    }
  }

  /** Until somebody wakes it, or the deadline. */
  #pause(deadline: number, register: (wake: () => void) => void): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(done, Math.max(0, deadline - performance.now()));
      register(() => {
        clearTimeout(timer);
        done();
      });
    });
  }
}

function record(dev: string, frame: Buffer, received: Buffer): RecordedFrame {
  const free = kernelChoice(frame, received);
  const note = printFrame(new DataView(frame.buffer, frame.byteOffset, frame.byteLength), 0, frame.length);
  return { dev, frame: frame.toString('hex'), note, ...(free.length > 0 ? { free } : {}) };
}

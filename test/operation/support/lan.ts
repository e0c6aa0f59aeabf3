/**
 * A network for one director: 192.0.2.0/24 with a client (.17), three servers (`one` .11, `two` .12, `sorry` .13) that have
 * the VIP .100 for DR, and the machine (.2) that tools like ldirectord run on. The director's wire is one more cable.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { Network } from '../../../examples/lab/namespaces.ts';
import { finish, type Site } from './daemon.ts';
import { Program } from './program.ts';

export const VIP = '192.0.2.100';
const WIRE = 'wire0';
const SERVERS = { one: '192.0.2.11', two: '192.0.2.12', sorry: '192.0.2.13' } as const;
export type ServerName = keyof typeof SERVERS;

const WEB_SERVER = fileURLToPath(new URL('./web-server.js', import.meta.url));

export class Lan {
  readonly #network = new Network();
  readonly #folder: string;
  readonly #t: ExecutionContext;
  readonly #running = new Map<ServerName, Program>();

  constructor(t: ExecutionContext, site: Site) {
    this.#t = t;
    this.#folder = site.folder;
    t.teardown(() => this.#network.remove());
    const hosts = { client: '192.0.2.17', machine: '192.0.2.2', ...SERVERS };
    for (const [host, address] of Object.entries(hosts)) {
      this.#network.addHost(host);
      this.#network.connect(host, 'eth0', 'lan', `${address}/24`);
    }
    // Who does not answer is known to be gone after 0.3 s instead of 3.
    this.#network.sysctl('machine', { 'ipv4/neigh/eth0/retrans_time_ms': 100 });
    for (const server of Object.keys(SERVERS) as ServerName[]) {
      this.#network.sysctl(server, { 'ipv4/conf/all/arp_ignore': 1, 'ipv4/conf/all/arp_announce': 2 });
      // A server without the VIP that forwarded, as a new namespace may inherit it, would send the VIP's packets back.
      this.#network.sysctl(server, { 'ipv4/ip_forward': 0 });
      this.addVip(server);
    }
  }

  /** What the director's file says of devices and interfaces. */
  get interfaces(): object {
    return {
      devices: [{ type: 'tap', name: WIRE, namespace: this.#network.switchNamespace }],
      interfaces: [{ device: WIRE, addresses: ['192.0.2.1/24'] }],
    };
  }

  /** The command that runs `command` where the kernel's end of the director's wire is. */
  onSwitch(...command: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.#network.switchNamespace, ...command];
  }

  /** Makes the director's wire beforehand, so that it stays when a director goes. @param queues whether it may have several */
  keepWire(queues = false): void {
    const { switchNamespace } = this.#network;
    const more = queues ? ['multi_queue'] : [];
    execFileSync('ip', ['-n', switchNamespace, 'tuntap', 'add', 'dev', WIRE, 'mode', 'tap', ...more]);
  }

  /** Plugs the director's wire in, once it is there. */
  plugIn(): void {
    this.#network.plugIn(WIRE, 'lan');
  }

  /** The command that runs `command` on a host. */
  on(host: 'client' | 'machine' | ServerName, ...command: readonly string[]): string[] {
    return this.#network.on(host, ...command);
  }

  /** Starts a web server, well, on these ports. */
  async serve(name: ServerName, ports: readonly number[]): Promise<void> {
    this.sayHealth(name, 'well');
    const command = [process.execPath, WEB_SERVER, name, this.#folder, ...ports.map(String)];
    const program = new Program(this.#t, this.on(name, ...command));
    this.#running.set(name, program);
    await program.printed(/serving/);
  }

  async stopServing(name: ServerName): Promise<void> {
    await this.#running.get(name)!.end('SIGKILL');
  }

  /** What a server's `/health` says from now on. */
  sayHealth(name: ServerName, health: 'well' | 'ill'): void {
    writeFileSync(join(this.#folder, `${name}.health`), health);
  }

  /** Pulls a server's plug, or puts it back. */
  setLink(name: ServerName, state: 'up' | 'down'): void {
    this.#network.ip(name, 'link', 'set', 'eth0', state);
  }

  addVip(name: ServerName): void {
    this.#network.ip(name, 'address', 'add', `${VIP}/32`, 'dev', 'lo');
  }

  /** Takes the VIP from a server, which goes on serving at its own address. */
  removeVip(name: ServerName): void {
    this.#network.ip(name, 'address', 'del', `${VIP}/32`, 'dev', 'lo');
  }

  /**
   * Adds a host on which the VIP is a server's: by a neighbour entry, or by a route.
   * @param address its own, in the network
   * @returns the command that asks the VIP from there
   */
  checkVip(name: ServerName, by: 'neighbour' | 'route', address: string, port: number): string[] {
    const host = `check-${name}`;
    this.#network.addHost(host);
    this.#network.connect(host, 'eth0', 'lan', `${address}/24`);
    if (by === 'route') {
      this.#network.ip(host, 'route', 'add', VIP, 'via', SERVERS[name]);
    } else {
      const [{ address: mac }] = JSON.parse(this.#network.ip(name, '-json', 'link', 'show', 'eth0'));
      this.#network.ip(host, 'neigh', 'replace', VIP, 'lladdr', mac, 'dev', 'eth0', 'nud', 'permanent');
    }
    return this.#network.on(host, 'curl', '-fsS', '--max-time', '1', `http://${VIP}:${port}/`);
  }

  /** Sends a server's replies by the director, as NAT needs it. */
  replyByDirector(name: ServerName): void {
    this.removeVip(name);
    this.#network.ip(name, 'route', 'add', '192.0.2.17/32', 'via', '192.0.2.1');
  }

  /** Whether a server answers the machine at its own address. */
  async answersItself(name: ServerName, port: number): Promise<boolean> {
    const curl = ['curl', '-s', '--max-time', '3', `http://${SERVERS[name]}:${port}/`];
    return (await finish(this.on('machine', ...curl))).stdout === name;
  }

  /** Which servers answer the client on a port of the VIP, each once, sorted; what curl says where none does. */
  async answers(port: number): Promise<string[]> {
    const answers = new Set<string>();
    for (let i = 0; i < 4; i++) {
      const curl = ['curl', '-s', '--max-time', '3', `http://${VIP}:${port}/`];
      const { status, stdout } = await finish(this.on('client', ...curl));
      answers.add(status === 0 ? stdout : `curl: ${status}`);
    }
    return [...answers].sort();
  }
}

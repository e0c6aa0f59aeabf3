/** A story, told in network namespaces: hosts, servers, a Director on TAP interfaces, and a client that asks. */
import { rmSync } from 'node:fs';
import { join, parse } from 'node:path';
import { type Device, Director, PcapDevice, TapDevice } from '../../src/index.ts';
import { selfSigned } from './certificate.ts';
import { Cleanup } from './cleanup.ts';
import { makeDirectory, Network } from './namespaces.ts';
import { Children } from './processes.ts';
import { commandLine, request } from './requests.ts';
import { availableServer, type ServerKind, startServer } from './servers.ts';
import { LabFailure, type Print, printStory, SITE, type Story } from './story.ts';
import { type Stage, tell } from './telling.ts';
import { layOut, networkOf } from './topology.ts';
import { addTunnelEnd } from './tunnels.ts';

/** What a run does beside telling its story. */
export interface RunOptions {
  /** A file to record the director's frames in, as pcap. Where it has several interfaces each gets a file of its own. */
  readonly pcap?: string | undefined;
  /** In how many worker threads the director works. Default 0: in none. */
  readonly threads?: number;
}

/**
 * Runs the story and prints it. Everything made is removed in the end, or when the process exits before.
 * @throws LabFailure when something comes out otherwise than the story says.
 * @throws Unavailable when the system does not let the lab run.
 */
export async function runLab(story: Story, print: Print, options: RunOptions = {}): Promise<void> {
  const cleanup = new Cleanup();
  const lab = new Lab(story, print, cleanup);
  try {
    lab.layOut();
    await lab.startServers(availableServer());
    const director = lab.startDirector(options);
    await tell(story, lab.stageWith(director));
  } finally {
    cleanup.run();
  }
}

class Lab {
  readonly #story: Story;
  readonly #print: Print;
  readonly #cleanup: Cleanup;
  readonly #network = new Network();
  readonly #children = new Children();

  constructor(story: Story, print: Print, cleanup: Cleanup) {
    this.#story = story;
    this.#print = print;
    this.#cleanup = cleanup;
  }

  layOut(): void {
    printStory(this.#print, this.#story);
    this.#cleanup.add(() => this.#network.remove());
    layOut(this.#network, this.#story);
    if (this.#story.mode !== 'tun') return;
    for (const server of this.#story.servers) {
      const end = addTunnelEnd(this.#network, this.#cleanup, server, this.#story.vip);
      this.#print(`  ${server.name} takes packets out of IPIP by ${end}.`);
    }
  }

  async startServers(kind: ServerKind): Promise<void> {
    const directory = makeDirectory();
    this.#cleanup.add(() => rmSync(directory, { recursive: true, force: true }));
    this.#cleanup.add(() => this.#children.killAll());
    const identity = selfSigned(SITE);
    for (const server of this.#story.servers) {
      await startServer(this.#network, this.#children, kind, server, identity, directory);
    }
    this.#print(`  The servers are ${kind === 'nginx' ? 'nginx' : 'Node (nginx is not installed)'}.`);
  }

  startDirector({ pcap, threads = 0 }: RunOptions): Director {
    const { interfaces, gateway, forwarding } = this.#story.director;
    const director = new Director({
      interfaces: interfaces.map((addresses, i) => ({
        device: this.#record(this.#openTap(i, addresses[0]!, threads), pcap),
        addresses: [...addresses],
      })),
      routes: gateway === undefined ? [] : [{ to: 'default', via: gateway }],
      forwarding,
      threads,
    });
    this.#cleanup.add(() => director.stop());
    director.start();
    return director;
  }

  #openTap(index: number, address: string, threads: number): Device {
    const name = `tap${index}`;
    const queues = threads > 1 ? { queues: threads } : {};
    const device = TapDevice.open({ name, namespace: this.#network.switchNamespace, ...queues });
    this.#network.plugIn(name, networkOf(address));
    return device;
  }

  #record(device: Device, pcap: string | undefined): Device {
    if (pcap === undefined) return device;
    const { dir, name, ext } = parse(pcap);
    const path = this.#story.director.interfaces.length === 1 ? pcap : join(dir, `${name}-${device.name}${ext}`);
    this.#print(`  The frames of ${device.name} are recorded in ${path}.`);
    return new PcapDevice(device, path);
  }

  stageWith(director: Director): Stage {
    const ask = async (url: string): Promise<string> => {
      const { page, trouble } = await request(this.#network, this.#children, 'client', url);
      if (page === undefined) throw new LabFailure(`the request to ${url} failed: ${trouble}`);
      return page;
    };
    return { print: this.#print, director, commandFor: commandLine, ask };
  }
}

/** A story's hosts and networks, laid out in memory. */
import { type Clock, Director, MemoryDevice, SystemClock } from '../../src/index.ts';
import { type Impairment, MemoryHost, MemorySwitch } from '../../src/testing/index.ts';
import { hostOf, type Story, type WebServer } from './story.ts';

export interface MemoryNetworkOptions {
  /** What all timers run by. Default: the system's. */
  readonly clock?: Clock;
  /** How bad the wires are. Default: they carry everything. */
  readonly impairment?: Impairment;
}

/** Client, router and servers around a director that has been started and knows no services yet. */
export class MemoryNetwork {
  readonly client: MemoryHost;
  readonly director: Director;
  readonly #clock: Clock;
  readonly #wires: { readonly impairment?: Impairment };
  readonly #switches = new Map<string, MemorySwitch>();
  readonly #servers = new Map<WebServer, MemoryHost>();
  readonly #router: MemoryHost | undefined;

  constructor(story: Story, options: MemoryNetworkOptions = {}) {
    const { clock = new SystemClock(), impairment } = options;
    this.#clock = clock;
    this.#wires = impairment === undefined ? {} : { impairment };
    this.#router = this.#makeRouter(story);
    for (const server of story.servers) this.#servers.set(server, this.#makeServer(story, server));
    this.client = new MemoryHost({ clock, interfaces: [this.#plug(story.client.address)] });
    this.director = this.#makeDirector(story);
    this.director.start();
  }

  /** The host of one of the story's web servers. */
  server(server: WebServer): MemoryHost {
    return this.#servers.get(server)!;
  }

  close(): void {
    this.director.stop();
    this.client.close();
    this.#router?.close();
    for (const host of this.#servers.values()) host.close();
  }

  /** The switch of the network (a /24, as all of the lab's) that the address is in. */
  #switchOf(address: string): MemorySwitch {
    const network = address.slice(0, address.lastIndexOf('.'));
    let found = this.#switches.get(network);
    if (found === undefined) this.#switches.set(network, (found = new MemorySwitch(this.#wires)));
    return found;
  }

  #plug(address: string): { addresses: string[]; wire: MemorySwitch } {
    return { addresses: [address], wire: this.#switchOf(address) };
  }

  #makeRouter({ router }: Story): MemoryHost | undefined {
    if (router === undefined) return undefined;
    const { outside, inside, servers, dnat, snat } = router;
    const addresses = servers === undefined ? [outside, inside] : [outside, inside, servers];
    return new MemoryHost({
      clock: this.#clock,
      interfaces: addresses.map((address) => this.#plug(address)),
      forwarding: true,
      nat: { dnat: dnat.map((map) => ({ protocol: 'tcp', ...map })), snat: [{ ...snat, out: 'eth0' }] },
    });
  }

  #makeServer({ mode, vip, vipOnServers }: Story, { address, gateway }: WebServer): MemoryHost {
    return new MemoryHost({
      clock: this.#clock,
      interfaces: [this.#plug(address)],
      loopback: vipOnServers ? [vip] : [],
      routes: [{ to: 'default', via: gateway }],
      arpIgnore: 1,
      arpAnnounce: 2,
      tunnel: mode === 'tun',
    });
  }

  #makeDirector({ director: { interfaces, gateway, forwarding } }: Story): Director {
    return new Director({
      clock: this.#clock,
      interfaces: interfaces.map((addresses, i) => {
        const device = new MemoryDevice({ name: `eth${i}`, mac: `02:00:00:00:00:0${i + 1}` });
        this.#switchOf(hostOf(addresses[0]!)).connect(device);
        return { device, addresses: [...addresses] };
      }),
      routes: gateway === undefined ? [] : [{ to: 'default', via: gateway }],
      forwarding,
    });
  }
}

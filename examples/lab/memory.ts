/** A story, told inside this process: in-memory hosts and switches around a Director on in-memory devices. */
import { createServer, get, type RequestListener } from 'node:http';
import { createServer as createSecureServer, get as getSecurely } from 'node:https';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { connect as connectSecurely } from 'node:tls';
import { Director, MemoryDevice } from '../../src/index.ts';
import { MemoryHost, MemorySwitch } from '../../src/testing/index.ts';
import { selfSigned } from './certificate.ts';
import { hostOf, type LabMode, type Print, pageOf, printStory, SITE, type Story, storyOf } from './story.ts';
import { tell } from './telling.ts';

/** Longer than any answer in memory takes. */
const REQUEST_TIMEOUT_MS = 5000;

/**
 * Runs the lab of a mode and prints it. Needs nothing of the system.
 * @throws LabFailure when something comes out otherwise than the story says.
 */
export async function runMemoryLab(mode: LabMode, print: Print): Promise<void> {
  const story = storyOf(mode);
  const stage = new MemoryStage(story, print);
  try {
    printStory(print, story);
    print('  All of it is in memory; the servers are Node.');
    await tell(story, stage);
  } finally {
    stage.close();
  }
}

class MemoryStage {
  readonly print: Print;
  readonly director: Director;
  readonly #switches = new Map<string, MemorySwitch>();
  readonly #hosts: MemoryHost[] = [];
  readonly #client: MemoryHost;

  constructor(story: Story, print: Print) {
    this.print = print;
    this.#addRouter(story);
    this.#addServers(story);
    const { address } = story.client;
    this.#client = this.#add(
      new MemoryHost({ interfaces: [{ addresses: [address], wire: this.#networkOf(address) }] }),
    );
    this.director = this.#makeDirector(story);
    this.director.start();
  }

  commandFor(url: string): string {
    return `GET ${url}`;
  }

  async ask(url: string): Promise<string> {
    const { hostname, protocol } = new URL(url);
    const secure = protocol === 'https:';
    const createConnection = (): Duplex => {
      if (!secure) return this.#client.connect(hostname, 80);
      return connectSecurely({
        socket: this.#client.connect(hostname, 443),
        servername: SITE,
        rejectUnauthorized: false, // as curl -k: the certificate signed itself
      });
    };
    const options = { createConnection, headers: { host: SITE }, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) };
    return new Promise((resolve, reject) => {
      const request = (secure ? getSecurely : get)(url, options, (response) => {
        text(response).then((page) => resolve(page.trimEnd()), reject);
      });
      request.on('error', reject);
    });
  }

  close(): void {
    this.director.stop();
    for (const host of this.#hosts) host.close();
  }

  #add(host: MemoryHost): MemoryHost {
    this.#hosts.push(host);
    return host;
  }

  /** The switch of the network (a /24, as all of the lab's) that the address is in. */
  #networkOf(address: string): MemorySwitch {
    const network = address.slice(0, address.lastIndexOf('.'));
    let found = this.#switches.get(network);
    if (found === undefined) this.#switches.set(network, (found = new MemorySwitch()));
    return found;
  }

  #addRouter({ router }: Story): void {
    if (router === undefined) return;
    const { outside, inside, servers, dnat, snat } = router;
    const addresses = servers === undefined ? [outside, inside] : [outside, inside, servers];
    this.#add(
      new MemoryHost({
        interfaces: addresses.map((address) => ({ addresses: [address], wire: this.#networkOf(address) })),
        forwarding: true,
        nat: {
          dnat: dnat.map((map) => ({ protocol: 'tcp', ...map })),
          snat: [{ ...snat, out: 'eth0' }],
        },
      }),
    );
  }

  #addServers({ servers, mode, vip, vipOnServers }: Story): void {
    const identity = selfSigned(SITE);
    for (const { name, address, gateway, httpPort, httpsPort } of servers) {
      const host = this.#add(
        new MemoryHost({
          interfaces: [{ addresses: [address], wire: this.#networkOf(address) }],
          loopback: vipOnServers ? [vip] : [],
          routes: [{ to: 'default', via: gateway }],
          arpIgnore: 1,
          arpAnnounce: 2,
          tunnel: mode === 'tun',
        }),
      );
      const answer: RequestListener = (_request, response) => {
        response.setHeader('content-type', 'text/plain').end(`${pageOf(name)}\n`);
      };
      host.listen(httpPort, createServer(answer));
      host.listen(httpsPort, createSecureServer(identity, answer));
    }
  }

  #makeDirector({ director: { interfaces, gateway, forwarding } }: Story): Director {
    return new Director({
      interfaces: interfaces.map((addresses, i) => {
        const device = new MemoryDevice({ name: `eth${i}`, mac: `02:00:00:00:00:0${i + 1}` });
        this.#networkOf(hostOf(addresses[0]!)).connect(device);
        return { device, addresses: [...addresses] };
      }),
      routes: gateway === undefined ? [] : [{ to: 'default', via: gateway }],
      forwarding,
    });
  }
}

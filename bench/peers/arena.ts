/**
 * Where the contenders meet: a bridge, and around it a client, two web servers, a pair of talkers (baseline/talkers.c), and each
 * contender as one more host with an address, a VIP and real servers of its own, so that all can be up at the same time and
 * take turns within a round. What every machine of a real network does for itself is done here by one of two cores: clients and
 * servers run, and receive, on one, the contender on the other.
 */
import { existsSync } from 'node:fs';
import { Network } from '../../examples/lab/namespaces.ts';
import { run } from '../../examples/lab/processes.ts';

/** The core of clients and servers, and that of the contenders. */
export const OUTER_CORE = 0;
export const CONTENDER_CORE = 1;

/** Ports of each contender's VIP, and of its servers. */
export const WEB_PORT = 80;
export const TALK_PORT = 81;
export const BULK_PORT = 5201;

/** Hosts with a web server each. The first also takes bulk data. */
export const WEB_HOSTS: readonly string[] = ['web1', 'web2'];
/** The host, without addresses, with the talkers' clients at the first of two interfaces and their servers at the other. */
export const TALKERS = 'talkers';
export const TALKER_INTERFACES: readonly string[] = ['eth0', 'eth1'];
/** The host of curl, wrk and iperf3. */
export const CLIENT = 'client';

const NETWORK = 'arena';
const PREFIX_LENGTH = 16;
const INTERFACE = 'eth0';
/** Numbers of addresses within a contender's /24. */
const OWN = 1;
const FIRST_WEB_SERVER = 11;
const FIRST_TALKING_SERVER = 21;
const TALKING_SERVERS = 2;
const VIP = 100;

/** Addresses of the talkers' clients: with all ports enough that none comes again while somebody remembers it. */
export const TALKING_CLIENTS: string = '10.77.200.1/8';

/** How the servers' answers find back: from the VIP straight to the client, through the contender, or to the proxy itself. */
export type WayBack = 'direct' | 'gateway' | 'proxy';

/** What a contender is given: addresses of its own. */
export interface Place {
  /** The name of its host, and of what else it needs names for: at most 8 letters. */
  readonly host: string;
  readonly address: string;
  /** `address` with the length of the network's prefix. */
  readonly prefix: string;
  readonly vip: string;
  readonly mac: string;
  /** Real servers with WEB_PORT and, the first one, BULK_PORT. */
  readonly webServers: readonly string[];
  /** Real servers with TALK_PORT. */
  readonly talkingServers: readonly string[];
}

/** A service that every contender offers: a port of its VIP, and the servers behind it, which use the same port. */
export interface Offer {
  readonly port: number;
  readonly servers: readonly string[];
}

/** The services that a contender at this place offers. */
export function offersOf({ webServers, talkingServers }: Place): Offer[] {
  return [
    { port: WEB_PORT, servers: webServers },
    { port: TALK_PORT, servers: talkingServers },
    // A bulk transfer takes two connections, which belong to the same server.
    { port: BULK_PORT, servers: webServers.slice(0, 1) },
  ];
}

export class Arena {
  readonly network: Network = new Network();
  #places = 0;

  /** Lays out everything but the contenders. @throws CommandFailure; Unavailable where namespaces may not be made. */
  layOut(): void {
    this.#addHost(CLIENT, '10.77.0.2', OUTER_CORE);
    WEB_HOSTS.forEach((host, i) => {
      this.#addHost(host, `10.77.0.${FIRST_WEB_SERVER + i}`, OUTER_CORE);
      // A server has VIPs on lo, and nobody may hear of them.
      for (const scope of ['all', 'default', 'lo']) {
        this.network.sysctl(host, { [`ipv4/conf/${scope}/arp_ignore`]: 1, [`ipv4/conf/${scope}/arp_announce`]: 2 });
      }
    });
    this.network.addHost(TALKERS);
    for (const name of TALKER_INTERFACES) {
      const port = `${TALKERS}-${name}`;
      this.network.ip(
        TALKERS,
        'link',
        'add',
        name,
        'type',
        'veth',
        'peer',
        'name',
        port,
        'netns',
        this.switchNamespace,
      );
      this.network.plugIn(port, NETWORK);
      this.network.ip(TALKERS, 'link', 'set', name, 'up');
      this.receiveOn(TALKERS, name, OUTER_CORE);
    }
    // A machine whose bridges pass frames to netfilter would do so here, to nobody's use.
    const filter = 'bridge/bridge-nf-call-iptables';
    if (existsSync(`/proc/sys/net/${filter}`)) this.network.sysctl('switch', { [filter]: 0 });
  }

  /** The namespace where a contender's TAP belongs. */
  get switchNamespace(): string {
    return this.network.switchNamespace;
  }

  /** Makes a contender's TAP a port of the bridge. */
  plugIn(tap: string): void {
    this.network.plugIn(tap, NETWORK);
  }

  /**
   * Gives a contender its place, and the servers their addresses for it.
   * @param host at most 8 letters.
   */
  place(host: string, wayBack: WayBack): Place {
    const number = ++this.#places;
    const at = (last: number) => `10.77.${number}.${last}`;
    const place: Place = {
      host,
      address: at(OWN),
      prefix: `${at(OWN)}/${PREFIX_LENGTH}`,
      vip: at(VIP),
      mac: `02:77:00:00:00:${number.toString(16).padStart(2, '0')}`,
      webServers: WEB_HOSTS.map((_, i) => at(FIRST_WEB_SERVER + i)),
      talkingServers: Array.from({ length: TALKING_SERVERS }, (_, i) => at(FIRST_TALKING_SERVER + i)),
    };
    WEB_HOSTS.forEach((server, i) => {
      const ip = (...args: readonly string[]) => this.network.ip(server, ...args);
      ip('address', 'add', `${place.webServers[i]}/${PREFIX_LENGTH}`, 'dev', INTERFACE);
      if (wayBack === 'direct') ip('address', 'add', `${place.vip}/32`, 'dev', 'lo');
      if (wayBack === 'gateway') {
        ip('route', 'add', 'default', 'via', place.address, 'dev', INTERFACE, 'table', `${number}`);
        ip('rule', 'add', 'from', place.webServers[i], 'table', `${number}`);
      }
    });
    return place;
  }

  /** Makes the place a host of its own, with the VIP as an address. */
  addContender({ host, address, vip, mac }: Place): void {
    this.#addHost(host, address, CONTENDER_CORE);
    this.network.ip(host, 'link', 'set', INTERFACE, 'address', mac);
    this.network.ip(host, 'address', 'add', `${vip}/32`, 'dev', INTERFACE);
  }

  /** The command that runs `command` on a host and a core. */
  on(host: string, core: number, ...command: readonly string[]): string[] {
    return this.network.on(host, 'taskset', '--cpu-list', `${core}`, ...command);
  }

  /** Has what arrives handled on a core, whoever sent it: else the sender's core does it, as within one machine. */
  receiveOn(host: string, name: string, core: number): void {
    const file = `/sys/class/net/${name}/queues/rx-0/rps_cpus`;
    run(...this.network.on(host, 'sh', '-c', `echo ${(1 << core).toString(16)} >${file}`));
  }

  #addHost(host: string, address: string, core: number): void {
    this.network.addHost(host);
    run(...this.network.on(host, 'sh', '-c', 'echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range'));
    this.network.connect(host, INTERFACE, NETWORK, `${address}/${PREFIX_LENGTH}`);
    this.receiveOn(host, INTERFACE, core);
    this.network.sysctl(host, {
      'ipv4/tcp_tw_reuse': 1,
      'core/somaxconn': 16_384,
      'ipv4/tcp_max_syn_backlog': 16_384,
    });
  }
}

/**
 * Where the contenders of the wire benchmark take turns: a bridge, with a sender and a receiver of small frames, a client
 * and a server that speak TCP, and the contender's TAP. Everybody but the contender is on one core, the contender on the
 * other; but the kernel delivers a frame where it was written, so a contender's core also pays for the frame's way to the
 * receiver, a TAP's reader for nothing of its way in.
 */
import { existsSync } from 'node:fs';
import { Network } from '../../examples/lab/namespaces.ts';
import { run } from '../../examples/lab/processes.ts';

/** The core of senders and receivers, and that of the contenders. */
export const OUTER_CORE = 0;
export const CONTENDER_CORE = 1;

/** Hosts without addresses that send and count frames. */
export const SENDER = 'sender';
export const RECEIVER = 'receiver';
/** Hosts with TCP. */
export const CLIENT = 'client';
export const SERVER = 'server';
/** The interface that each has. */
export const INTERFACE = 'eth0';

export const DIRECTOR_ADDRESS = '10.0.0.1';
export const CLIENT_ADDRESS = '10.0.0.2';
export const SERVER_ADDRESS = '10.0.0.11';
export const VIP = '10.0.0.100';

/** The contender's. */
export const CONTENDER_MAC = '02:00:00:00:00:01';
const BRIDGE = 'wire';
const PORT_NAME_LENGTH = 15;

/** Whom a contender stands between. */
export interface Ends {
  readonly from: string;
  readonly to: string;
}

/**
 * MAC addresses of the sender and the receiver. They are not those of their interfaces, so that the hosts look at a frame
 * no further than that.
 */
export const FRAME_ENDS: Ends = { from: '02:00:00:00:01:02', to: '02:00:00:00:01:0b' };

export class Arena {
  readonly #network = new Network();
  #taps = 0;

  /** Lays out everything but the contenders. @throws CommandFailure; Unavailable where namespaces may not be made. */
  layOut(): void {
    const network = this.#network;
    for (const host of [SENDER, RECEIVER, CLIENT, SERVER]) network.addHost(host);
    network.connect(CLIENT, INTERFACE, BRIDGE, `${CLIENT_ADDRESS}/24`);
    network.connect(SERVER, INTERFACE, BRIDGE, `${SERVER_ADDRESS}/24`);
    this.#connectBare(SENDER, FRAME_ENDS.from);
    this.#connectBare(RECEIVER, FRAME_ENDS.to);
    // The server has the VIP, and nobody hears of it.
    network.sysctl(SERVER, { 'ipv4/conf/all/arp_ignore': 1, 'ipv4/conf/all/arp_announce': 2 });
    network.ip(SERVER, 'address', 'add', `${VIP}/32`, 'dev', 'lo');
    network.ip('switch', 'link', 'set', BRIDGE, 'type', 'bridge', 'mcast_snooping', '0');
    // Bridges that pass frames to netfilter take 12 % longer, to nobody's use here.
    for (const filter of ['bridge/bridge-nf-call-iptables', 'bridge/bridge-nf-call-arptables']) {
      if (existsSync(`/proc/sys/net/${filter}`)) network.sysctl('switch', { [filter]: 0 });
    }
  }

  #connectBare(host: string, mac: string): void {
    const port = `${BRIDGE}-${host}`.slice(0, PORT_NAME_LENGTH);
    const peer = ['peer', 'name', port, 'netns', this.#network.switchNamespace];
    this.#network.ip(host, 'link', 'add', INTERFACE, 'type', 'veth', ...peer);
    this.#network.plugIn(port, BRIDGE);
    this.#network.ip(host, 'link', 'set', INTERFACE, 'up');
    this.#stationAt(port, mac);
  }

  /** Tells the bridge where a MAC address is, so that it neither floods nor learns it. */
  #stationAt(port: string, mac: string): void {
    run(...this.#network.on('switch', 'bridge', 'fdb', 'replace', mac, 'dev', port, 'master', 'static'));
  }

  namespaceOf(host: string): string {
    return this.#network.namespaceOf(host);
  }

  /** A name for the next contender's TAP: a new one each time, for the kernel takes its time to remove the last. */
  nextTap(): string {
    return `wire${++this.#taps}`;
  }

  /**
   * Makes an interface of this name for a contender that attaches to one, with its MAC address: a veth, whose other end is
   * a port of the bridge and hands nothing over that AF_XDP could not take.
   */
  makeInterface(name: string): void {
    const peer = `${name}-port`;
    const link = ['link', 'add', name, 'address', CONTENDER_MAC, 'type', 'veth', 'peer', 'name', peer];
    this.#network.ip('switch', ...link);
    this.#network.ip('switch', 'link', 'set', name, 'up');
    this.plugIn(peer);
  }

  removeInterface(name: string): void {
    this.#network.ip('switch', 'link', 'del', name);
  }

  /** Makes a contender's TAP a port of the bridge. */
  plugIn(tap: string): void {
    this.#network.plugIn(tap, BRIDGE);
    this.#stationAt(tap, CONTENDER_MAC);
  }

  /** The command that runs `command` on a host's own core. */
  on(host: string, ...command: readonly string[]): string[] {
    return this.#network.on(host, 'taskset', '-c', `${OUTER_CORE}`, ...command);
  }

  /** The command that runs `command` where TAPs are, on these cores. */
  contending(cores: readonly number[], ...command: readonly string[]): string[] {
    return this.#network.on('switch', 'taskset', '-c', cores.join(','), ...command);
  }

  /** The MAC addresses of client and server. */
  get tcpEnds(): Ends {
    return { from: this.#macOf(CLIENT), to: this.#macOf(SERVER) };
  }

  #macOf(host: string): string {
    const [link] = JSON.parse(this.#network.ip(host, '-json', 'link', 'show', INTERFACE)) as { address: string }[];
    return link.address;
  }

  /** Lets the client find the VIP, and the server the client, at these MAC addresses. */
  route(vipAt: string, clientAt: string): void {
    const neighbour = (host: string, ip: string, mac: string) =>
      this.#network.ip(host, 'neigh', 'replace', ip, 'lladdr', mac, 'dev', INTERFACE, 'nud', 'permanent');
    neighbour(CLIENT, VIP, vipAt);
    neighbour(SERVER, CLIENT_ADDRESS, clientAt);
  }

  /** Removes it all. */
  remove(): void {
    this.#network.remove();
  }
}

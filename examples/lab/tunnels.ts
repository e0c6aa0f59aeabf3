/** The real servers' ends of the IPIP tunnels: the kernel's where it has them, else the lab's own. */
import { TapDevice } from '../../src/index.ts';
import type { Cleanup } from './cleanup.ts';
import { Decapsulator } from './decapsulator.ts';
import type { Network } from './namespaces.ts';
import { hostOf, type WebServer } from './story.ts';
import { addSilentAddress } from './topology.ts';

/** What takes the packets out of IPIP. */
export type TunnelEnd = 'the kernel (ipip)' | 'a program of the lab';

const NAME = 'tunl1';
/** The program's address as the server's routing sees it; never on a wire. */
const PROGRAM = '169.254.0.1';
/** The routing table for what is to be unwrapped. */
const TABLE = '4';

/** Gives the server an end of the tunnel, with the VIP on it. @returns what it is. */
export function addTunnelEnd(network: Network, cleanup: Cleanup, server: WebServer, vip: string): TunnelEnd {
  const end = addKernelEnd(network, server) ? 'the kernel (ipip)' : 'a program of the lab';
  if (end === 'a program of the lab') addOwnEnd(network, cleanup, server);
  addSilentAddress(network, server.name, NAME, vip);
  return end;
}

function addKernelEnd(network: Network, server: WebServer): boolean {
  try {
    network.ip(server.name, 'link', 'add', NAME, 'type', 'ipip', 'local', hostOf(server.address));
  } catch {
    return false;
  }
  network.ip(server.name, 'link', 'set', NAME, 'up');
  return true;
}

/**
 * IPIP packets are addressed to the server itself, and the first of the routing rules, which looks for own addresses,
 * would keep them. So a rule for IP protocol 4 goes before it and sends them on to the program.
 */
function addOwnEnd(network: Network, cleanup: Cleanup, server: WebServer): void {
  const device = TapDevice.open({ name: NAME, namespace: network.namespaceOf(server.name) });
  const decapsulator = new Decapsulator(device, (error) => {
    throw error;
  });
  cleanup.add(() => decapsulator.close());
  const ip = (...args: readonly string[]) => network.ip(server.name, ...args);
  ip('neighbour', 'replace', PROGRAM, 'lladdr', device.mac, 'dev', NAME, 'nud', 'permanent');
  ip('route', 'add', 'default', 'via', PROGRAM, 'dev', NAME, 'onlink', 'table', TABLE);
  ip('rule', 'add', 'pref', '1', 'lookup', 'local');
  ip('rule', 'del', 'pref', '0');
  ip('rule', 'add', 'pref', '0', 'ipproto', 'ipencap', 'lookup', TABLE);
  network.sysctl(server.name, { 'ipv4/ip_forward': 1 });
}

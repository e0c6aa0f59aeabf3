/** A story's hosts and networks, laid out in network namespaces. */
import type { Network } from './namespaces.ts';
import { findProgram, run } from './processes.ts';
import type { PortMap, Router, Story } from './story.ts';

/** A host's interfaces, in the order of its addresses. */
const OUTSIDE = 'eth0';
const INSIDE = 'eth1';
const SERVERS = 'eth2';

/** Lays out everything but the director: client, router, servers, and the networks between them. */
export function layOut(network: Network, story: Story): void {
  network.addHost('client');
  network.connect('client', OUTSIDE, networkOf(story.client.address), story.client.address);
  if (story.router !== undefined) layOutRouter(network, story.router);
  for (const { name, address, gateway } of story.servers) {
    network.addHost(name);
    network.connect(name, OUTSIDE, networkOf(address), address);
    network.ip(name, 'route', 'add', 'default', 'via', gateway, 'dev', OUTSIDE);
    if (story.mode === 'dr') addSilentAddress(network, name, 'lo', story.vip);
  }
}

/** The name of the network (a /24, as all of the lab's) that an address is in: `net50` for 192.168.50.0/24. */
export function networkOf(address: string): string {
  return `net${address.split('.')[2]}`;
}

/**
 * Gives a real server the VIP without anybody hearing of it: no answer to ARP for an address that is not on the asked
 * interface, and no ARP that names such an address as its sender's.
 */
export function addSilentAddress(network: Network, server: string, interfaceName: string, vip: string): void {
  for (const scope of ['all', 'default', 'lo']) {
    network.sysctl(server, { [`ipv4/conf/${scope}/arp_ignore`]: 1, [`ipv4/conf/${scope}/arp_announce`]: 2 });
  }
  network.ip(server, 'address', 'add', `${vip}/32`, 'dev', interfaceName);
}

function layOutRouter(network: Network, router: Router): void {
  network.addHost('router');
  network.connect('router', OUTSIDE, networkOf(router.outside), router.outside);
  network.connect('router', INSIDE, networkOf(router.inside), router.inside);
  if (router.servers !== undefined) network.connect('router', SERVERS, networkOf(router.servers), router.servers);
  network.sysctl('router', { 'ipv4/ip_forward': 1 });
  if (findProgram('iptables') !== undefined) translateWithIptables(network, router);
  else translateWithNft(network, router);
}

function translateWithIptables(network: Network, { dnat, snat }: Router): void {
  const append = (...rule: readonly string[]) => {
    run(...network.on('router', 'iptables', '-w', '-t', 'nat', '-A', ...rule));
  };
  for (const { address, port, to, toPort } of dnat) {
    append('PREROUTING', '-d', address, '-p', 'tcp', '--dport', `${port}`, '-j', 'DNAT', '--to', `${to}:${toPort}`);
  }
  append('POSTROUTING', '-o', OUTSIDE, '-s', snat.from, '-j', 'SNAT', '--to', snat.to);
}

function translateWithNft(network: Network, { dnat, snat }: Router): void {
  const toVip = ({ address, port, to, toPort }: PortMap) =>
    `ip daddr ${address} tcp dport ${port} dnat to ${to}:${toPort};`;
  const rules = `table ip lab {
    chain prerouting { type nat hook prerouting priority -100; ${dnat.map(toVip).join(' ')} }
    chain postrouting { type nat hook postrouting priority 100; oifname ${OUTSIDE} ip saddr ${snat.from} snat to ${snat.to}; }
  }`;
  run(...network.on('router', 'nft', rules));
}

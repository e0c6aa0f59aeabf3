/** The kernel's own way without IPVS: nftables, which gives each connection's destination address to the next server. */
import { readFileSync } from 'node:fs';
import { run } from '../../examples/lab/processes.ts';
import { offersOf, type Place } from './arena.ts';
import type { Contender } from './contender.ts';

/** DNAT in the kernel's forwarding path; the servers' answers come back through it. */
export const nftables: Contender = {
  name: 'nftables DNAT',
  host: 'nft',
  wayBack: 'gateway',
  hasHost: true,
  start: async ({ network }, place) => {
    const { host } = place;
    network.sysctl(host, {
      'ipv4/ip_forward': 1,
      // It has one interface: the kernel would tell clients and servers to do without it.
      'ipv4/conf/all/send_redirects': 0,
      'ipv4/conf/eth0/send_redirects': 0,
      // Else the machine's table, whose size is not ours to change, would soon be full of connections that have ended.
      'netfilter/nf_conntrack_tcp_timeout_time_wait': 10,
    });
    run(...network.on(host, 'nft', ruleset(place)));
    return {
      pid: 0,
      mostConnections: trackedConnections(),
      stop: async () => {
        run(...network.on(host, 'nft', 'delete table ip balance'));
        run(...network.on(host, 'conntrack', '--flush'));
      },
    };
  },
};

function ruleset(place: Place): string {
  const rules = offersOf(place).map(({ port, servers }) => {
    const map = servers.map((server, i) => `${i} : ${server}`).join(', ');
    return `ip daddr ${place.vip} tcp dport ${port} dnat to numgen inc mod ${servers.length} map { ${map} };`;
  });
  return `table ip balance {
    chain prerouting { type nat hook prerouting priority dstnat; ${rules.join(' ')} }
  }`;
}

/** What the kernel's table of connections holds: the machine's setting, which is not ours to change. */
function trackedConnections(): number {
  return Number(readFileSync('/proc/sys/net/netfilter/nf_conntrack_max', 'utf8'));
}

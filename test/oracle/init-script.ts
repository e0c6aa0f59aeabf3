/** What User Mode Linux runs in place of init: loads IPVS and then runs the lines that it reads. */

const SCHEDULERS = ['rr', 'wrr', 'lc', 'wlc', 'fo', 'ovf', 'lblc', 'lblcr', 'dh', 'sh', 'mh', 'sed', 'nq'];

/** In the order of what needs what. */
const MODULES = [
  'lib/crc-ccitt',
  'net/ipv6/ipv6',
  'net/ipv4/netfilter/nf_defrag_ipv4',
  'net/ipv6/netfilter/nf_defrag_ipv6',
  'net/netfilter/nf_conntrack',
  'net/netfilter/nf_nat',
  'net/netfilter/x_tables',
  'net/netfilter/ipvs/ip_vs',
  ...SCHEDULERS.map((name) => `net/netfilter/ipvs/ip_vs_${name}`),
  'net/netfilter/ipvs/ip_vs_ftp',
  'net/netfilter/nf_conntrack_sip',
  'net/netfilter/ipvs/ip_vs_pe_sip',
  'net/ipv4/netfilter/ip_tables',
  'net/ipv4/netfilter/iptable_mangle',
  'net/netfilter/xt_mark',
  'net/netfilter/xt_tcpudp',
  'net/netfilter/xt_multiport',
  'net/ipv6/netfilter/ip6_tables',
  'net/ipv6/netfilter/ip6table_mangle',
];

/**
 * Defaults that every network namespace made later inherits. Nobody answers duplicate address detection or router
 * solicitations here, and a scenario's answers may not depend on how fast it is played.
 */
const SYSCTLS: Readonly<Record<string, string | number>> = {
  'net/core/devconf_inherit_init_net': 1,
  'net/ipv4/ip_forward': 1,
  'net/ipv6/conf/all/forwarding': 1,
  'net/ipv6/conf/default/forwarding': 1,
  ...Object.fromEntries(
    ['all', 'default'].flatMap((scope) => [
      [`net/ipv4/conf/${scope}/rp_filter`, 0],
      [`net/ipv4/conf/${scope}/send_redirects`, 0],
      [`net/ipv6/conf/${scope}/accept_dad`, 0],
      [`net/ipv6/conf/${scope}/router_solicitations`, 0],
    ]),
  ),
};

/** Limits of each namespace: ICMP errors are never held back. */
export const NAMESPACE_SYSCTLS: Readonly<Record<string, string | number>> = {
  'net/ipv4/icmp_ratelimit': 0,
  'net/ipv4/icmp_ratemask': 0,
  'net/ipv6/icmp/ratelimit': 0,
};

/** Shell commands that set kernel tunables without starting a process. */
export function sysctlCommands(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => `echo ${value} > /proc/sys/${name}`)
    .join('; ');
}

/** Printed when the machine takes commands. */
export const READY = 'ready for commands';

/** Where Linux sees the directory that it shares with this process. */
export const SHARED = '/mnt';

/** The script. The kernel's own messages stay off the console: it is where the commands' output appears. */
export function initScript(interfaces: readonly string[], directory: string): string {
  return `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
dmesg -n 1 2>/dev/null || busybox dmesg -n 1
mount -t hostfs none ${SHARED} -o ${directory}
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmp /tmp; mount -t tmpfs run /run
modules=/usr/lib/uml/modules/$(uname -r)/kernel
for module in ${MODULES.join(' ')}; do
  busybox insmod $modules/$module.ko || echo "cannot load $module"
done
ip link set lo up
${interfaces
  // Frames that are held back to be merged would be overtaken by the ones behind them, and the driver sends garbage for
  // packets that lie in more than one piece.
  .map(
    (name, i) => `ip link set vec${i} name ${name} && ethtool -K ${name} gro off sg off tx-scatter-gather-fraglist off`,
  )
  .join('\n')}
${sysctlCommands(SYSCTLS)}
stty -echo
echo ${READY}
while read -r line; do eval "$line"; done
busybox poweroff -f
`;
}

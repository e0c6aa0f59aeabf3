/**
 * Linux IPVS itself, where the machine's kernel has none or is not to be touched: Debian's User Mode Linux, an ordinary process,
 * on a TAP. It uses this machine's file system, read only.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory } from '../../examples/lab/namespaces.ts';
import { run } from '../../examples/lab/processes.ts';
import { Program } from '../programs.ts';
import { CONTENDER_CORE, type Place } from './arena.ts';
import { CONNECTIONS, type Contender, LIMIT_MS, START_MS } from './contender.ts';
import { ipvsadmLines } from './tapvs.ts';

const MEMORY = '1024M';
const READY = 'ready';
/** In the order of what needs what. */
const MODULES = [
  'lib/crc-ccitt',
  'net/ipv6/ipv6',
  'net/ipv4/netfilter/nf_defrag_ipv4',
  'net/ipv6/netfilter/nf_defrag_ipv6',
  'net/netfilter/nf_conntrack',
  // A million buckets: with its default of 4096 it would walk lists.
  'net/netfilter/ipvs/ip_vs conn_tab_bits=20',
  'net/netfilter/ipvs/ip_vs_rr',
];

/** By direct routing, which is what it is quickest at. */
export const userModeLinux: Contender = {
  name: 'Linux IPVS (UML), DR',
  host: 'umlipvs',
  wayBack: 'direct',
  hasHost: false,
  start: async (arena, place, cleanup) => {
    const directory = makeDirectory();
    cleanup.add(() => rmSync(directory, { recursive: true, force: true }));
    const init = join(directory, 'init.sh');
    writeFileSync(init, initScript(place), { mode: 0o755 });
    const tap = `${place.host}0`;
    const inSwitch = ['ip', 'netns', 'exec', arena.switchNamespace];
    run(...inSwitch, 'ip', 'tuntap', 'add', tap, 'mode', 'tap');
    arena.plugIn(tap);
    const program = new Program(cleanup, LIMIT_MS, [
      ...inSwitch,
      ...['taskset', '--cpu-list', `${CONTENDER_CORE}`],
      'linux.uml',
      `mem=${MEMORY}`,
      'rootfstype=hostfs',
      'rootflags=/',
      'root=/dev/root',
      'ro',
      `init=${init}`,
      `uml_dir=${directory}`,
      'con=null',
      'con0=fd:0,fd:1',
      'ssl=null',
      'quiet',
      `vec0:transport=tap,ifname=${tap},depth=128,mac=${place.mac}`,
    ]);
    // User Mode Linux is many processes, in a process group of their own.
    const end = () => {
      try {
        process.kill(-program.pid, 'SIGKILL');
      } catch {
        // it has ended
      }
    };
    cleanup.add(end);
    const timer = setTimeout(end, START_MS);
    await program.prints(new RegExp(`^${READY}\\s*$`, 'm'));
    clearTimeout(timer);
    // It says that it takes frames larger than the MTU, and then drops them.
    run(...inSwitch, 'ethtool', '-K', tap, 'tso', 'off');
    return {
      pid: program.pid,
      mostConnections: CONNECTIONS,
      stop: async () => {
        end();
        await program.ended;
        run(...inSwitch, 'ip', 'link', 'del', tap);
      },
    };
  },
};

/** What it runs in place of init. */
function initScript(place: Place): string {
  return `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmp /tmp; mount -t tmpfs run /run
modules=/usr/lib/uml/modules/$(uname -r)/kernel
load() { path=$1; shift; busybox insmod $modules/$path.ko "$@" || echo "cannot load $path"; }
${MODULES.map((module) => `load ${module}`).join('\n')}
ip link set lo up
ip link set vec0 name eth0
# Its driver sends garbage for packets that lie in more than one piece.
ethtool -K eth0 gro off sg off tx-scatter-gather-fraglist off
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
echo 0 >/proc/sys/net/ipv4/conf/eth0/rp_filter
echo 0 >/proc/sys/net/ipv4/conf/all/send_redirects
echo 0 >/proc/sys/net/ipv4/conf/eth0/send_redirects
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
ip address add ${place.prefix} dev eth0
ip address add ${place.vip}/32 dev eth0
ip link set eth0 up
${ipvsadmLines(place, 'g')
  .map((line) => `ipvsadm ${line}`)
  .join('\n')}
echo ${READY}
while read -r line; do eval "$line"; done
busybox poweroff -f
`;
}

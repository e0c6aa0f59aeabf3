/** The programs of the benchmark: what is missing is installed from Debian. */
import { accessSync, constants, existsSync } from 'node:fs';
import { findProgram, run } from '../../examples/lab/processes.ts';
import { NGINX_STREAM } from './proxies.ts';

/** Programs, or files, and the packages that have them. */
const PACKAGES: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  taskset: 'util-linux',
  nginx: 'nginx-light',
  [NGINX_STREAM]: 'libnginx-mod-stream',
  haproxy: 'haproxy',
  wrk: 'wrk',
  iperf3: 'iperf3',
  nft: 'nftables',
  conntrack: 'conntrack',
  'linux.uml': 'user-mode-linux',
  busybox: 'busybox-static',
  ipvsadm: 'ipvsadm',
  ethtool: 'ethtool',
  gcc: 'gcc',
};

const POLICY = '/usr/sbin/policy-rc.d';
/** Installing a server must not start it, unless whoever runs the machine has said something about that already. */
const INSTALL = `
  if [ ! -e ${POLICY} ]; then
    printf '#!/bin/sh\\nexit 101\\n' >${POLICY} && chmod +x ${POLICY} && trap 'rm -f ${POLICY}' EXIT
  fi
  apt-get update -q && apt-get install -q -y --no-install-recommends "$@"`;

/**
 * Sees to it that all programs are there.
 * @throws Error when something is missing that cannot be installed.
 */
export function installPackages(progress: (doing: string) => void): void {
  if (process.geteuid?.() !== 0) throw new Error('this benchmark makes network namespaces and TAPs: run it as root');
  accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
  const isThere = (name: string) => (name.startsWith('/') ? existsSync(name) : findProgram(name) !== undefined);
  const missing = Object.keys(PACKAGES).filter((name) => !isThere(name));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((name) => PACKAGES[name]))];
  const asked = `apt-get install ${packages.join(' ')}`;
  progress(`not installed: ${missing.join(', ')}; ${asked}`);
  if (findProgram('apt-get') === undefined) throw new Error(`not installed: ${missing.join(', ')}`);
  run('env', 'DEBIAN_FRONTEND=noninteractive', 'sh', '-c', INSTALL, 'sh', ...packages);
}

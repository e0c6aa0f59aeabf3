/** What scenarios are made of. Each can be left out. */
export const FEATURES = {
  udp: 'UDP services and datagrams',
  sctp: 'SCTP services and associations',
  ipv6: 'services, servers and clients of IPv6',
  'mixed-families': 'tunnels to servers of the other family',
  marks: 'firewall-mark services',
  persistence: 'persistent services, with masks and all ports',
  'one-packet': 'one-packet scheduling',
  thresholds: 'upper and lower thresholds',
  tunnels: 'servers behind IPIP tunnels',
  'gue-gre': 'tunnels of the types gue and gre',
  'local-node': "servers that are the director's own addresses",
  icmp: 'ICMP errors both ways, echo requests',
  fragments: 'fragments in and out of order, overlapping, repeated',
  mutations: 'truncated, corrupt and unusual packets',
  'ip-options': 'IPv4 options',
  extensions: 'IPv6 extension headers',
  transit: 'packets that are for no service',
  sysctls: 'tunables',
  commands: 'services and servers that come, change and go',
  'bad-commands': 'commands that fail',
  statistics: 'counters and rates',
  time: 'time that passes',
  ftp: 'FTP control connections',
  sip: 'the SIP persistence engine',
} as const;

export type Feature = keyof typeof FEATURES;

/** Features that are left out unless asked for: the director does not have them yet. */
export const NOT_YET: readonly Feature[] = ['ftp'];

/**
 * The features of a run.
 * @throws Error for an unknown name.
 */
export function chooseFeatures(asked: readonly string[], without: readonly string[]): ReadonlySet<Feature> {
  for (const name of [...asked, ...without]) {
    if (!Object.hasOwn(FEATURES, name)) throw new Error(`unknown feature ${name}: ${Object.keys(FEATURES).join(', ')}`);
  }
  const all = Object.keys(FEATURES) as Feature[];
  const wanted = all.filter((name) => asked.includes(name) || !NOT_YET.includes(name));
  return new Set(wanted.filter((name) => !without.includes(name)));
}

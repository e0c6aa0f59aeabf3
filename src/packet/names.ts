/** What numbers in packets are called: IANA's names, shortened as tcpdump does. For printing only. */

const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'ICMP',
  2: 'IGMP',
  4: 'IPIP',
  6: 'TCP',
  17: 'UDP',
  41: 'IPIP',
  47: 'GRE',
  50: 'ESP',
  51: 'AH',
  58: 'ICMPv6',
  59: 'nothing',
  89: 'OSPF',
  112: 'VRRP',
  132: 'SCTP',
};

/** An IP protocol's name; `protocol 253` for one without. */
export function protocolName(protocol: number): string {
  return PROTOCOLS[protocol] ?? `protocol ${protocol}`;
}

const EXTENSIONS: Readonly<Record<number, string>> = {
  0: 'hop-by-hop',
  43: 'routing',
  51: 'AH',
  60: 'destination-options',
  135: 'mobility',
  139: 'HIP',
  140: 'shim6',
};

/** An IPv6 extension header's name. */
export function extensionName(type: number): string {
  return EXTENSIONS[type] ?? `extension ${type}`;
}

const CHUNKS: readonly string[] = [
  'DATA',
  'INIT',
  'INIT-ACK',
  'SACK',
  'HEARTBEAT',
  'HEARTBEAT-ACK',
  'ABORT',
  'SHUTDOWN',
  'SHUTDOWN-ACK',
  'ERROR',
  'COOKIE-ECHO',
  'COOKIE-ACK',
  'ECNE',
  'CWR',
  'SHUTDOWN-COMPLETE',
];

/** An SCTP chunk type's name (RFC 9260 section 3.2). */
export function chunkName(type: number): string {
  return CHUNKS[type] ?? `chunk-${type}`;
}

/** Per type: its name, and the names of its codes where they say more than the type. */
type IcmpNames = Readonly<Record<number, { readonly name: string; readonly codes?: readonly string[] }>>;

const ICMP: IcmpNames = {
  0: { name: 'echo reply' },
  3: {
    name: 'destination unreachable',
    codes: [
      'net unreachable',
      'host unreachable',
      'protocol unreachable',
      'port unreachable',
      'fragmentation needed',
      'source route failed',
      'net unknown',
      'host unknown',
      'source host isolated',
      'net prohibited',
      'host prohibited',
      'net unreachable for TOS',
      'host unreachable for TOS',
      'administratively prohibited',
      'precedence violation',
      'precedence cutoff',
    ],
  },
  4: { name: 'source quench' },
  5: { name: 'redirect', codes: ['redirect net', 'redirect host', 'redirect TOS and net', 'redirect TOS and host'] },
  8: { name: 'echo request' },
  9: { name: 'router advertisement' },
  10: { name: 'router solicitation' },
  11: { name: 'time exceeded', codes: ['TTL exceeded in transit', 'reassembly time exceeded'] },
  12: { name: 'parameter problem' },
  13: { name: 'timestamp request' },
  14: { name: 'timestamp reply' },
};

const ICMPV6: IcmpNames = {
  1: {
    name: 'destination unreachable',
    codes: [
      'no route',
      'administratively prohibited',
      'beyond scope of source',
      'address unreachable',
      'port unreachable',
      'source address failed policy',
      'route rejected',
    ],
  },
  2: { name: 'packet too big' },
  3: { name: 'time exceeded', codes: ['hop limit exceeded in transit', 'reassembly time exceeded'] },
  4: {
    name: 'parameter problem',
    codes: ['erroneous header field', 'unrecognized next header', 'unrecognized option'],
  },
  128: { name: 'echo request' },
  129: { name: 'echo reply' },
  130: { name: 'multicast listener query' },
  131: { name: 'multicast listener report' },
  132: { name: 'multicast listener done' },
  133: { name: 'router solicitation' },
  134: { name: 'router advertisement' },
  135: { name: 'neighbour solicitation' },
  136: { name: 'neighbour advertisement' },
  137: { name: 'redirect' },
  143: { name: 'multicast listener report v2' },
};

/** What an ICMP message says: the code's name, else the type's with the code unless that is 0. */
export function icmpName(type: number, code: number): string {
  return messageName(ICMP, type, code);
}

/** What an ICMPv6 message says. */
export function icmpv6Name(type: number, code: number): string {
  return messageName(ICMPV6, type, code);
}

function messageName(names: IcmpNames, type: number, code: number): string {
  const known = names[type];
  if (known === undefined) return `type ${type} code ${code}`;
  return known.codes?.[code] ?? (code === 0 ? known.name : `${known.name} code ${code}`);
}

/**
 * What became of a frame. Every frame that is read ends in exactly one of these, and each has its own counter: their sum
 * is the number of frames read.
 */
const VERDICTS = {
  /** To a server, destination rewritten (NAT). */
  MASQ: 'sent to a server by NAT',
  /** To a server, in a tunnel. */
  TUNNEL: 'sent to a server through a tunnel',
  /** To a server, by its MAC address (DR). */
  ROUTE: 'sent to a server by direct routing',
  /** To a server that is the director itself. */
  LOCAL: 'for a server on the director itself',
  /** No server: on to where it was going. */
  BYPASS: 'sent to its original destination',
  /** From a NAT server to its client, source rewritten. */
  REPLY: "a NAT server's reply, sent to its client",
  /** An ICMP error about a connection, to the server or client it concerns. */
  RELATED: 'an ICMP error about a connection, sent on',
  /** An ICMP error about one of the director's own tunnel packets, put into the client's words. */
  TUNNEL_ERROR: 'an ICMP error about a tunnel packet, told to the client',
  /** Not for a service: routed. */
  FORWARDED: 'routed as by any router',
  ARP: 'ARP',
  NDP: 'neighbour discovery',
  ECHO: 'an ICMP echo request, answered',
  /** A connection to a port of the director's that nobody serves: refused with a TCP reset or an ICMP error. */
  REJECTED: 'for a port or protocol nobody serves here, refused',
  /** A message from a sync master. */
  SYNC: 'a sync message, for the backup daemon',
  /** A router or switch asks which multicast groups are listened to. */
  GROUP: 'a question for multicast groups, answered',
  /** Given to the user's handler. */
  HANDED_OVER: "given to the user's handler",
  /** Waits for the datagram's other fragments, or repeats one that waits. */
  FRAGMENT: 'a fragment, kept until the others are here',

  SHORT_FRAME: 'dropped: shorter than its headers',
  OTHER_HOST: "dropped: another host's MAC address",
  UNKNOWN_VLAN: 'dropped: a VLAN the director is not on',
  UNKNOWN_ETHERTYPE: 'dropped: not ARP, IPv4 or IPv6',
  BAD_ARP: 'dropped: not ARP for IPv4 over Ethernet',
  BAD_NDP: 'dropped: neighbour discovery that is not to be trusted',
  BAD_HEADER: 'dropped: an IP header that cannot be',
  BAD_OFFLOAD: 'dropped: what its virtio-net header leaves to do does not go with it',
  BAD_EXTENSION: 'dropped or refused: an IPv6 extension header that is not understood',
  SOURCE_ROUTE: 'dropped: the sender wants to choose the route',
  MARTIAN: 'dropped: an address that cannot be on the wire',
  BAD_FRAGMENT: 'dropped: a fragment that does not fit the others',
  NOT_FORWARDING: 'dropped: for another host, and forwarding is off',
  NO_ROUTE: 'dropped: no route to its destination',
  TTL_EXCEEDED: 'dropped: its time to live is over',
  TOO_BIG: 'dropped: larger than the way allows, and must not be fragmented',
  NO_NEIGHBOUR: 'dropped: too many neighbours are being asked for',
  NO_SERVER: 'dropped: the service has no server for it',
  SERVER_GONE: 'dropped: its server was removed',
  UNKNOWN_SERVER: 'dropped: of a synced tunnel connection whose server is not known here',
  TABLE_FULL: 'dropped: the connection table is full',
  OVERLOAD: 'dropped: defence against overload (drop_packet)',
  SHORT_TRANSPORT: 'dropped: its transport header is not whole',
  BAD_CHECKSUM: 'dropped: a wrong transport or ICMP checksum',
  BAD_OPTIONS: 'dropped: TCP options that cannot be read, where they must be',
  UNIDENTIFIED: 'dropped: the persistence engine finds nothing in it to know its client by',
  NOT_WANTED: 'dropped: for the director itself, and nobody wants it',
  FAILED: "dropped: the user's scheduler, persistence engine or device threw",
} as const;

/** The name of what became of a frame: a key of {@link VERDICT_TEXTS}. */
export type VerdictName = keyof typeof VERDICTS;

export const VERDICT_NAMES: readonly VerdictName[] = Object.keys(VERDICTS) as VerdictName[];
/** What each verdict means, in words. */
export const VERDICT_TEXTS: Readonly<Record<VerdictName, string>> = VERDICTS;

/** The verdicts as small integers: indices into the counters. */
export const V: Readonly<Record<VerdictName, number>> = Object.freeze(
  Object.fromEntries(VERDICT_NAMES.map((name, i) => [name, i])) as Record<VerdictName, number>,
);

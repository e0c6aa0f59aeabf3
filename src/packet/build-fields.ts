/** The plain objects that `buildFrame` builds frames from. What is optional has its default said. */

/** Data of a packet: bytes, or text to be written as UTF-8. */
export type Bytes = Uint8Array | string;

/** One 802.1Q tag. */
export interface VlanFields {
  /** 0 .. 4095. */
  readonly id: number;
  /** 0 .. 7. Default 0. */
  readonly priority?: number;
  /** The tag's own EtherType. Default 0x8100. */
  readonly type?: number;
}

export interface EthernetFields {
  readonly source: string;
  readonly destination: string;
  /** Tags, outermost first; a number is a VLAN id. Default none. */
  readonly vlans?: readonly (number | VlanFields)[];
  /** Default: that of the packet inside. */
  readonly type?: number;
}

export interface ArpFields {
  /** 1 request, 2 reply. Default 1. */
  readonly operation?: number;
  readonly senderMac: string;
  readonly senderIp: string;
  /** Default `00:00:00:00:00:00`. */
  readonly targetMac?: string;
  readonly targetIp: string;
}

/** An IPv6 extension header. */
export interface ExtensionFields {
  /** 0 hop-by-hop options, 43 routing, 44 fragment, 51 authentication, 60 destination options ... */
  readonly type: number;
  /**
   * What follows the next-header and length bytes. Padded to a multiple of 8 bytes in all, options with a PadN, others
   * with zeros. Default empty.
   */
  readonly data?: Bytes;
}

/** An IP header; the source address tells the family. */
export interface IpFields {
  readonly source: string;
  readonly destination: string;
  /** IPv4's time to live or IPv6's hop limit. Default 64. */
  readonly ttl?: number;
  /** IPv4's type of service or IPv6's traffic class. Default 0. */
  readonly tos?: number;
  /** Default: that of what is inside. */
  readonly protocol?: number;
  /** Identification: 16 bits in IPv4, 32 in an IPv6 fragment header. Default 1. */
  readonly id?: number;
  /** More fragments. Default false. */
  readonly mf?: boolean;
  /** Offset of this fragment in bytes, a multiple of 8. Default 0. */
  readonly fragmentOffset?: number;
  /** IPv4 only: don't fragment. Default false. */
  readonly df?: boolean;
  /** IPv4 only: options, padded with zeros to a multiple of 4 bytes. Default none. */
  readonly options?: Uint8Array;
  /** IPv6 only: 20 bits. Default 0. */
  readonly flowLabel?: number;
  /**
   * IPv6 only: extension headers, in the order of the wire. Where `id`, `mf` or `fragmentOffset` is given, a fragment
   * header comes after them. Transport checksums are over `destination`, also where a routing header would lead on.
   * Default none.
   */
  readonly extensions?: readonly ExtensionFields[];
}

export interface TcpFields {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Letters of `FSRPAUEC` (FIN SYN RST PSH ACK URG ECE CWR), or the bits as a number. Default `S`. */
  readonly flags?: string | number;
  /** Default 1000. */
  readonly sequence?: number;
  /** Default 0. */
  readonly acknowledgement?: number;
  /** Default 64240. */
  readonly window?: number;
  /** Default 0. */
  readonly urgentPointer?: number;
  /** Padded with NOPs to a multiple of 4 bytes. Default none. */
  readonly options?: Uint8Array;
  /** Default empty. */
  readonly data?: Bytes;
}

export interface UdpFields {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Default `hello`. */
  readonly data?: Bytes;
  /** Leave the checksum out (0). Default false. */
  readonly zeroChecksum?: boolean;
}

export interface SctpChunk {
  /** 1 INIT, 0 DATA, 6 ABORT ... */
  readonly type: number;
  /** Default 0. */
  readonly flags?: number;
  /** What follows the chunk header; padded with zeros to a multiple of 4 bytes. Default empty. */
  readonly data?: Bytes;
}

export interface SctpFields {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Default 0. */
  readonly verificationTag?: number;
  /** Default one INIT without contents. */
  readonly chunks?: readonly SctpChunk[];
}

/** An ICMP or ICMPv6 message. */
export interface IcmpFields {
  readonly type: number;
  /** Default 0. */
  readonly code?: number;
  /** The type's own four bytes: identifier and sequence, MTU, pointer. Default 0. */
  readonly rest?: number;
  /** What follows them: echo data, or the packet that an error is about. Default empty. */
  readonly data?: Bytes;
}

/** What an IP packet carries: exactly one of these. */
export interface Transports {
  tcp: TcpFields;
  udp: UdpFields;
  sctp: SctpFields;
  /** ICMP over IPv4. */
  icmp: IcmpFields;
  /** ICMP over IPv6. */
  icmpv6: IcmpFields;
  /**
   * Anything else, as it is: a packet in a tunnel (the default of `ip.protocol` is then 4 or 41, as the packet is), the
   * rest of a fragmented datagram.
   */
  payload: Bytes;
}

/** Exactly one property of `T`. */
type OneOf<T> = {
  [K in keyof T]: { readonly [P in K]: T[P] } & { readonly [P in Exclude<keyof T, K>]?: never };
}[keyof T];

/** An IP packet. */
export type PacketFields = { readonly ip: IpFields } & OneOf<Transports>;

/** An Ethernet frame: an IP packet, an ARP packet, or with `ethernet.type` any `payload`. */
export type FrameFields =
  | ({ readonly ethernet: EthernetFields; readonly arp?: never } & PacketFields)
  | {
      /** Default: from the sender to everybody. */
      readonly ethernet?: Partial<EthernetFields>;
      readonly arp: ArpFields;
    }
  | {
      readonly ethernet: EthernetFields & { readonly type: number };
      readonly payload: Bytes;
      readonly ip?: never;
      readonly arp?: never;
    };

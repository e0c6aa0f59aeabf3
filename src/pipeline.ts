/**
 * The whole frame path: what happens to a frame from the device that it came from to the device that it leaves by.
 *
 *     receive -> Ethernet -> ARP
 *                         -> IP -> for the director: reassemble -> reply? request? -> forward method -> send
 *                               -> for others: time to live -> reply of a NAT server? -> send
 *
 * The two families part at the Ethernet type and meet again wherever a step is the same for both.
 *
 * One packet is handled to its end before the next; nothing is allocated for it. Every frame ends in one verdict.
 */
import type { Family } from './address.ts';
import type { Connections } from './conntrack/connections.ts';
import { MASQ } from './conntrack/forward-method.ts';
import { CONTROL, FLAGS, FWD_MASK, META, N_CONTROL, NOOUTPUT, TRACKED } from './conntrack/layout.ts';
import { SCTP_CLOSED } from './conntrack/sctp-state.ts';
import { INPUT, OUTPUT, TCP_CLOSE, TCP_FIN_WAIT, TCP_TIME_WAIT } from './conntrack/tcp-state.ts';
import { countIn, countOut, type Datapath, type DatapathListener } from './datapath.ts';
import type { FrameBatch } from './devices/device.ts';
import { receiveArp } from './host/arp.ts';
import { tellNoRoute, tellPortUnreachable, tellTooBig, tellTtlExceeded } from './host/errors.ts';
import { acceptExtensions, acceptHopByHop } from './host/extensions.ts';
import type { Groups } from './host/groups.ts';
import { type Host, isLoopback } from './host/host.ts';
import { answerEcho, type IcmpLimit, isHostAddress } from './host/icmp.ts';
import { answerEcho6 } from './host/icmpv6.ts';
import type { Interface, Port } from './host/interface.ts';
import { OPTIONS_FINE, receiveOptions } from './host/ip-options.ts';
import { isDiscovery, receiveNdp } from './host/ndp.ts';
import type { Neighbour } from './host/neighbours.ts';
import { FRAGMENT_BAD, FRAGMENT_KEPT, type Reassembly } from './host/reassembly.ts';
import { reject } from './host/reject.ts';
import type { Wire } from './host/wire.ts';
import { lookupOutRelated4, receiveOwn4, receiveRelated4, respondRelated4 } from './modes/icmp-related.ts';
import { lookupOutRelated6, receiveOwn6, receiveRelated6, respondRelated6 } from './modes/icmpv6-related.ts';
import { restoreSource, rewriteReply } from './modes/nat.ts';
import { PASS, sendLimit } from './modes/outgoing.ts';
import { transmit } from './modes/transmit.ts';
import { loseTunnelPacket } from './modes/tunnel-errors.ts';
import { ARP_LENGTH } from './packet/arp.ts';
import { DST, dissectIpv4, dissectIpv6, hasPortNumbers, Packet, SRC } from './packet/dissect.ts';
import * as ethernet from './packet/ethernet.ts';
import * as icmp from './packet/icmp.ts';
import * as icmpv6 from './packet/icmpv6.ts';
import * as ipv4 from './packet/ipv4.ts';
import * as ipv6 from './packet/ipv6.ts';
import { BURST } from './packet/pool.ts';
import { CHUNK_INIT, NO_CHUNK, startsWithAbort } from './packet/sctp.ts';
import { RST, SYN } from './packet/tcp.ts';
import type { Defence } from './services/defence.ts';
import type { FirewallMarks } from './services/marks.ts';
import type { Registry } from './services/registry.ts';
import { LEAVE, NOT_OURS, SCHEDULED, Scheduling } from './services/schedule.ts';
import { Stats } from './services/stats.ts';
import { LONG_WAY, Shortcut } from './shortcut.ts';
import type { SyncMaster } from './sync/master.ts';
import type { SysctlValues } from './sysctl.ts';
import { V, VERDICT_NAMES } from './verdicts.ts';

/** Where a fragment is put together: what is for the director apart from what passes through. */
const FOR_US = 0;
const PASSING = 1;

/** A packet's connection is over: it begins another. */
const ANEW = -2;

/** The parts that the frame path works with. */
export type PipelineParts = Pick<
  Datapath,
  | 'wire'
  | 'host'
  | 'reassembly'
  | 'icmpLimit'
  | 'registry'
  | 'marks'
  | 'connections4'
  | 'connections6'
  | 'sysctl'
  | 'defence'
  | 'listener'
>;

/** Takes frames that are not for a service; see `Director.onPassed`. */
export type PassedHandler = (frame: Uint8Array, interfaceName: string) => void;

export class Pipeline implements Datapath {
  readonly view: DataView;
  readonly wire: Wire;
  readonly host: Host;
  readonly reassembly: Reassembly;
  readonly icmpLimit: IcmpLimit;
  readonly registry: Registry;
  readonly marks: FirewallMarks;
  readonly connections4: Connections;
  readonly connections6: Connections;
  readonly sysctl: SysctlValues;
  readonly defence: Defence;
  readonly listener: DatapathListener;
  readonly stats: Stats = new Stats();
  readonly packet: Packet = new Packet();
  readonly inner: Packet = new Packet();
  tick = 0;

  /** How many frames ended in each verdict, by its number. */
  readonly verdicts: Float64Array = new Float64Array(VERDICT_NAMES.length);
  /** Frames read. */
  received = 0;
  /** How many bursts there were of so many frames, by the number of frames. */
  readonly bursts: Float64Array = new Float64Array(BURST + 1);
  /** Whether packets for others are routed. */
  forwarding = false;
  onPassed: PassedHandler | null = null;
  /** Multicast groups that are listened to; null for none. */
  groups: Groups | null = null;
  /** Tells backups of connections; null while no sync master runs. */
  syncMaster: SyncMaster | null = null;
  /** Whether a sync backup runs: with `backup_only` packets from clients are left alone then. */
  isBackup = false;

  readonly #scheduling = new Scheduling();
  readonly #shortcut: Shortcut;
  readonly #incoming: FrameBatch & { lengths: Int32Array };
  /** The frame at hand, for the user's handler. */
  #frame = 0;
  #frameLength = 0;

  constructor(parts: PipelineParts) {
    this.wire = parts.wire;
    this.host = parts.host;
    this.reassembly = parts.reassembly;
    this.icmpLimit = parts.icmpLimit;
    this.registry = parts.registry;
    this.marks = parts.marks;
    this.connections4 = parts.connections4;
    this.connections6 = parts.connections6;
    this.sysctl = parts.sysctl;
    this.defence = parts.defence;
    this.listener = parts.listener;
    const { pool } = parts.wire;
    this.view = pool.view;
    this.#incoming = {
      memory: pool.memory,
      offsets: pool.receiveOffsets,
      lengths: new Int32Array(BURST),
      partial: new Int32Array(BURST),
      segments: new Int32Array(BURST),
      room: pool.room,
      count: BURST,
    };
    this.#shortcut = new Shortcut(this, this.#incoming.offsets, this.#incoming.lengths);
  }

  /**
   * Reads a burst of frames from a device, handles each, and sends what came of them.
   * @param interfaces the interfaces on this device.
   * @returns how many frames were read; fewer than a whole burst means that there are no more for now.
   */
  processBurst(port: Port, interfaces: readonly Interface[], tick: number): number {
    this.tick = tick;
    this.connections4.settle(tick);
    this.connections6.settle(tick);
    const { offsets, lengths, partial, segments } = this.#incoming;
    const { unfinished } = this.wire;
    const { checksumOffload } = port;
    const frames = port.device.receive(this.#incoming as FrameBatch);
    this.received += frames;
    const untagged = interfaceOf(interfaces, 0);
    let requests = this.#mayShortenRequests();
    let replies = this.#mayShortenReplies();
    const isShortened = untagged !== null && (requests || replies);
    if (isShortened) this.#shortcut.begin(frames);
    for (let i = 0; i < frames; i++) {
      this.#frame = offsets[i];
      this.#frameLength = lengths[i];
      let verdict = V.FAILED;
      try {
        const isWhole = !checksumOffload || (partial[i] | segments[i]) === 0;
        if (isShortened && isWhole) {
          verdict = this.#shortcut.take(untagged, i, requests, replies);
          if (verdict !== LONG_WAY) {
            this.verdicts[verdict]++;
            continue;
          }
        }
        verdict = V.FAILED;
        verdict =
          isWhole || unfinished.accept(offsets[i], lengths[i], partial[i], segments[i])
            ? this.#ethernet(interfaces, offsets[i], lengths[i])
            : V.BAD_OFFLOAD;
      } catch (error) {
        // A scheduler of the user's may throw: that is its packet's loss, and not the next one's.
        this.listener.failed(error);
      }
      this.verdicts[verdict]++;
      if (unfinished.start !== 0) unfinished.clear();
      // The user may have been called, and have changed anything.
      requests = this.#mayShortenRequests();
      replies = this.#mayShortenReplies();
    }
    // The slots of what is queued are filled anew by the next burst.
    if (frames > 0) {
      this.bursts[frames]++;
      this.wire.flush();
    }
    return frames;
  }

  /**
   * A frame about neighbours that another thread has received, and answers and counts: what it tells is learned here too.
   * Called from within a device's `receive`.
   */
  overhear(interfaces: readonly Interface[], frame: number, length: number): void {
    this.#frame = frame;
    this.#frameLength = length;
    this.host.isSilent = true;
    try {
      this.#ethernet(interfaces, frame, length);
      this.wire.flush();
    } catch (error) {
      // What waited for the neighbour could not be sent. The frames of the burst that is being received can do nothing for it.
      this.listener.failed(error);
    } finally {
      this.host.isSilent = false;
    }
  }

  /** Whether nothing is set up that has to see packets from clients beside what the short way does. */
  #mayShortenRequests(): boolean {
    const { sysctl } = this;
    return this.registry.isActive(4) && sysctl.nat_icmp_send === 0 && this.syncMaster === null && !this.#standsBy();
  }

  /** The same of packets from NAT servers. */
  #mayShortenReplies(): boolean {
    return this.registry.isActive(4) && this.forwarding && !this.marks.takesAny;
  }

  #ethernet(interfaces: readonly Interface[], frame: number, length: number): number {
    if (length < ethernet.ETHERNET_HEADER) return V.SHORT_FRAME;
    const { view } = this;
    let type = ethernet.etherType(view, frame);
    let header = ethernet.ETHERNET_HEADER;
    let vlan = 0;
    if (type === ethernet.ETHERTYPE_VLAN) {
      header += ethernet.VLAN_TAG;
      if (length < header) return V.SHORT_FRAME;
      vlan = view.getUint16(frame + 14) & 0xfff;
      type = view.getUint16(frame + 16);
    }
    const on = interfaceOf(interfaces, vlan);
    if (on === null) return V.UNKNOWN_VLAN;
    const high = ethernet.dstHigh(view, frame);
    const toHost = high === on.macHigh && ethernet.dstLow(view, frame) === on.macLow;
    if (!toHost && (high & 0x0100) === 0) return V.OTHER_HOST;

    const at = frame + header;
    this.packet.interface = on.index;
    this.packet.toHost = toHost;
    switch (type) {
      case ethernet.ETHERTYPE_IPV4:
        return this.#ipv4(at, length - header);
      case ethernet.ETHERTYPE_IPV6:
        return this.#ipv6(on, at, length - header);
      case ethernet.ETHERTYPE_ARP:
        if (length - header < ARP_LENGTH) return V.SHORT_FRAME;
        if (this.wire.unfinished.start !== 0) return V.BAD_OFFLOAD;
        return receiveArp(this.wire, this.host, on, at, this.tick) ? V.ARP : V.BAD_ARP;
      default:
        if (this.wire.unfinished.size !== 0) return V.BAD_OFFLOAD;
        this.wire.unfinished.complete(view, frame + length);
        return this.#passOver(V.UNKNOWN_ETHERTYPE);
    }
  }

  /** For nobody here: the user's handler may have it. */
  #passOver(otherwise: number): number {
    if (this.onPassed === null) return otherwise;
    const { unfinished } = this.wire;
    if (unfinished.size !== 0) return this.#oneByOne(() => this.#passOver(otherwise));
    if (unfinished.start !== 0) unfinished.complete(this.view, this.packet.ip + this.packet.length);
    const name = this.host.interfaces[this.packet.interface].name;
    this.onPassed(this.wire.pool.memory.slice(this.#frame, this.#frame + this.#frameLength), name);
    return V.HANDED_OVER;
  }

  /** Lets each segment of the frame at hand be taken as the frame that it is on the wire. Returns the last one's verdict. */
  #oneByOne(take: () => number): number {
    const { wire, packet, view } = this;
    const link = packet.ip - this.#frame;
    const from = this.#frame;
    const dissect = packet.family === 4 ? dissectIpv4 : dissectIpv6;
    const count = wire.cut(packet.ip, packet.length);
    let verdict = V.BAD_OFFLOAD;
    for (let i = 0; i < count; i++) {
      const ip = wire.writeSegment(i, false);
      wire.unfinished.complete(view, ip + wire.segmentLength);
      wire.pool.memory.copyWithin(ip - link, from, from + link);
      dissect(packet, view, ip, wire.segmentLength);
      this.#frame = ip - link;
      this.#frameLength = link + wire.segmentLength;
      verdict = take();
    }
    return verdict;
  }

  #ipv4(at: number, available: number): number {
    const { packet, host, view } = this;
    if (!dissectIpv4(packet, view, at, available)) return V.BAD_HEADER;
    if (this.wire.unfinished.start !== 0 && !this.wire.unfinished.settle(view, packet)) return V.BAD_OFFLOAD;
    const { address } = packet;
    if (host.isOwn(4, address, DST)) {
      if (!isHostAddress(address[SRC]) || host.isOwn(4, address, SRC)) return V.MARTIAN;
      const options = this.#options4();
      return options === OPTIONS_FINE ? this.#localIn() : options;
    }
    const to = address[DST];
    const toGroup = to >>> 28 === 0xe;
    const toAll = host.isBroadcast4(address, DST);
    // A host that has no address yet may speak to everybody (DHCP).
    if (!isHostAddress(address[SRC]) && !(address[SRC] === 0 && toAll)) return V.MARTIAN;
    if (host.isOwn(4, address, SRC)) return V.MARTIAN;
    if (toGroup && this.groups?.wants(packet)) return this.#toGroup(this.groups);
    // An ICMP error that somebody sent to everybody is still about a connection.
    if (toAll && packet.toHost) return this.#localIn();
    if (toGroup || toAll) return this.#passOver(V.NOT_WANTED);
    if (!isHostAddress(to)) return V.MARTIAN;
    if (!packet.toHost) return this.#passOver(V.NOT_WANTED);
    const taken = this.marks.takes(packet);
    if (!taken && !this.forwarding) return this.#passOver(V.NOT_FORWARDING);
    const options = this.#options4();
    if (options !== OPTIONS_FINE) return options;
    return taken ? this.#localIn() : this.#forward();
  }

  #options4(): number {
    return this.packet.headerLength === ipv4.IPV4_HEADER ? OPTIONS_FINE : receiveOptions(this);
  }

  #ipv6(on: Interface, at: number, available: number): number {
    const { packet, host, view } = this;
    if (!dissectIpv6(packet, view, at, available)) return V.BAD_HEADER;
    if (this.wire.unfinished.start !== 0 && !this.wire.unfinished.settle(view, packet)) return V.BAD_OFFLOAD;
    const { address } = packet;
    if (ipv6.isMulticast6(address, SRC) || isLoopback(6, address, SRC) || isLoopback(6, address, DST)) return V.MARTIAN;
    if (!acceptHopByHop(this)) return V.BAD_EXTENSION;
    const toGroup = ipv6.isMulticast6(address, DST);
    if (packet.protocol === ipv4.PROTO_ICMPV6 && (toGroup || host.isOwn(6, address, DST)) && this.#isDiscovery()) {
      return receiveNdp(this, on, this.#frame) ? V.NDP : V.BAD_NDP;
    }
    if (toGroup && this.groups?.wants(packet)) return this.#toGroup(this.groups);
    if (toGroup) return this.#passOver(V.NOT_WANTED);
    if (host.isOwn(6, address, DST)) return this.#localIn();
    if (!packet.toHost) return this.#passOver(V.NOT_WANTED);
    if (this.marks.takes(packet)) return this.#localIn();
    return this.forwarding ? this.#forward() : this.#passOver(V.NOT_FORWARDING);
  }

  /** Whether requests are left to another director, which this one backs up (`backup_only`). */
  #standsBy(): boolean {
    return this.sysctl.backup_only !== 0 && this.isBackup;
  }

  /** A packet to a multicast group that is listened to. */
  #toGroup(groups: Groups): number {
    const whole = this.#reassemble(FOR_US);
    if (whole !== PASS) return whole;
    if (this.wire.unfinished.size !== 0) return this.#oneByOne(() => groups.receive(this));
    this.wire.completeFirst(this.packet);
    return groups.receive(this);
  }

  /** Whether the ICMPv6 packet at hand is about neighbours or routers. Those never come in fragments (RFC 6980). */
  #isDiscovery(): boolean {
    const { packet, view } = this;
    if (packet.fragmentHeader !== 0 || packet.length - packet.headerLength < icmpv6.ICMPV6_HEADER) return false;
    return isDiscovery(icmpv6.icmpv6Type(view, packet.ip + packet.headerLength));
  }

  /** Puts fragments together. Returns {@link PASS} when `packet` is whole, else a verdict. */
  #reassemble(place: number): number {
    const { packet, reassembly, wire, view } = this;
    if (packet.fragment === 0 && packet.fragmentHeader === 0) return PASS;
    const link = packet.ip - this.#frame;
    const target = wire.pool.jumbo + ethernet.ETHERNET_HEADER;
    const result = reassembly.add(packet, wire.pool.memory, view, target, place, this.tick);
    if (result === FRAGMENT_KEPT) return V.FRAGMENT;
    if (result === FRAGMENT_BAD) return V.BAD_FRAGMENT;
    const whole = packet.family === 4 ? dissectIpv4 : dissectIpv6;
    if (!whole(packet, view, target, reassembly.length)) return V.BAD_HEADER;
    packet.largestFragment = reassembly.largest;
    // Whoever is given the frame is given the datagram, behind the link header of its last fragment.
    wire.pool.memory.copyWithin(target - link, this.#frame, this.#frame + link);
    this.#frame = target - link;
    this.#frameLength = link + reassembly.length;
    return PASS;
  }

  /** A packet for one of the director's own addresses. */
  #localIn(): number {
    const { packet } = this;
    const whole = this.#reassemble(FOR_US);
    if (whole !== PASS) return whole;
    if (packet.protocol === icmpProtocol(packet.family)) return this.#localIcmp();
    if (hasPortNumbers(packet.protocol) && this.registry.isActive(packet.family)) {
      const connections = this.#connections();
      const reply = this.#reply(connections);
      if (reply !== PASS) return reply === V.REPLY ? this.#up() : reply;
      if (this.sysctl.nat_icmp_send !== 0 && this.#isStrayReply()) {
        tellPortUnreachable(this);
        return V.NOT_WANTED;
      }
      if (packet.toHost && !this.#standsBy()) {
        const verdict = this.#request(connections);
        if (verdict === V.LOCAL) this.#up();
        if (verdict !== NOT_OURS) return verdict;
      }
    }
    return this.#up();
  }

  #connections(): Connections {
    return this.packet.family === 4 ? this.connections4 : this.connections6;
  }

  /** For the director itself and not for a service. */
  #up(): number {
    if (this.#hasExtensions() && !acceptExtensions(this)) return V.BAD_EXTENSION;
    if (this.onPassed !== null) return this.#passOver(V.NOT_WANTED);
    this.wire.completeFirst(this.packet);
    return reject(this);
  }

  #hasExtensions(): boolean {
    return this.packet.family === 6 && this.packet.headerLength !== ipv6.IPV6_HEADER;
  }

  #localIcmp(): number {
    const { packet, view } = this;
    const connections = this.#connections();
    const four = packet.family === 4;
    const message = packet.ip + packet.headerLength;
    const end = packet.ip + packet.length;
    const isActive = this.registry.isActive(packet.family);
    const row = isActive ? (four ? lookupOutRelated4 : lookupOutRelated6)(this, connections, message, end) : 0;
    if (row !== 0) {
      const verdict = (four ? respondRelated4 : respondRelated6)(this, connections, row);
      return verdict === PASS ? this.#up() : verdict;
    }
    if (isActive && packet.toHost && !this.#standsBy()) {
      const verdict = (four ? receiveRelated4 : receiveRelated6)(this, connections, this.#scheduling);
      if (verdict === V.LOCAL) this.#up();
      if (verdict !== NOT_OURS) return verdict;
    }
    if (message < end && view.getUint8(message) === (four ? icmp.ICMP_ECHO : icmpv6.ICMPV6_ECHO)) {
      if (this.#hasExtensions() && !acceptExtensions(this)) return V.BAD_EXTENSION;
      return (four ? answerEcho : answerEcho6)(this) ? V.ECHO : V.NOT_WANTED;
    }
    return this.#up();
  }

  /** A packet for somebody else: the director is its router. */
  #forward(): number {
    const { packet, view, host } = this;
    const { family, ip } = packet;
    const neighbour = host.nextHop(family, packet.address, DST);
    if (neighbour === null) {
      if (host.route(family, packet.address, DST) !== null) return V.NO_NEIGHBOUR;
      tellNoRoute(this);
      return V.NO_ROUTE;
    }
    if ((family === 4 ? ipv4.ttl(view, ip) : ipv6.hopLimit(view, ip)) <= 1) {
      tellTtlExceeded(this);
      return V.TTL_EXCEEDED;
    }
    const { mtu } = neighbour.interface;
    if (this.wire.longest(packet) > mtu && (family === 6 || (ipv4.fragment(view, ip) & ipv4.DF) !== 0)) {
      tellTooBig(this, mtu);
      return V.TOO_BIG;
    }
    if (family === 4) ipv4.decrementTtl(view, ip);
    else ipv6.setHopLimit(view, ip, ipv6.hopLimit(view, ip) - 1);
    const isIcmp = packet.protocol === icmpProtocol(family);
    const isOurs = (isIcmp || hasPortNumbers(packet.protocol)) && this.registry.isActive(family);
    if (!isOurs) return this.#sendOn(neighbour, V.FORWARDED);

    const whole = this.#reassemble(PASSING);
    if (whole !== PASS) return whole;
    if (isIcmp) return this.#forwardIcmp(neighbour);
    const connections = this.#connections();
    let verdict = this.#reply(connections);
    if (verdict === PASS && this.#startsConnection(connections)) {
      verdict = this.#respond(connections, this.#scheduling.row);
    }
    if (verdict !== PASS) return verdict === V.REPLY ? this.#sendReply(neighbour) : verdict;
    if (this.sysctl.nat_icmp_send !== 0 && this.#isStrayReply()) {
      tellPortUnreachable(this);
      return V.NOT_WANTED;
    }
    return this.#sendOn(neighbour, V.FORWARDED);
  }

  #sendReply(neighbour: Neighbour): number {
    const { packet, view } = this;
    const { mtu } = neighbour.interface;
    if (this.wire.longest(packet) > mtu && packet.largestFragment === 0 && !mayFragment(packet, view)) {
      // It fitted when it came: a helper has made it longer.
      this.wire.completeFirst(packet);
      restoreSource(view, packet);
      tellTooBig(this, mtu);
      return V.TOO_BIG;
    }
    return this.#sendOn(neighbour, V.REPLY);
  }

  #sendOn(neighbour: Neighbour, verdict: number): number {
    const { packet } = this;
    const limit = sendLimit(this, neighbour.interface.mtu);
    this.wire.forward(packet.family, packet.ip, packet.length, neighbour, limit, this.tick);
    return verdict;
  }

  #forwardIcmp(neighbour: Neighbour): number {
    const { packet } = this;
    const four = packet.family === 4;
    const connections = this.#connections();
    if (!this.#standsBy()) {
      const related = (four ? receiveRelated4 : receiveRelated6)(this, connections, this.#scheduling);
      if (related === V.LOCAL) this.#up();
      if (related !== NOT_OURS) return related;
    }
    const message = packet.ip + packet.headerLength;
    const end = packet.ip + packet.length;
    const row = (four ? lookupOutRelated4 : lookupOutRelated6)(this, connections, message, end);
    if (row === 0) return this.#sendOn(neighbour, V.FORWARDED);
    const verdict = (four ? respondRelated4 : respondRelated6)(this, connections, row);
    return verdict === PASS ? this.#sendOn(neighbour, V.RELATED) : verdict;
  }

  /**
   * A packet that may come from a server: of a connection, it is counted and tracked, and under NAT rewritten.
   * @returns {@link PASS} when it belongs to no connection, REPLY when it does, or the verdict that it is lost.
   */
  #reply(connections: Connections): number {
    const { packet } = this;
    const { table } = connections;
    if (!packet.hasPorts) return PASS;
    const row = table.lookupOut(packet.protocol, packet.address, DST, packet.destinationPort, SRC, packet.sourcePort);
    return row === 0 ? PASS : this.#respond(connections, row);
  }

  /** A packet from the server of the connection at `row`. Returns REPLY or the verdict that it is lost. */
  #respond(connections: Connections, row: number): number {
    const { packet, tick } = this;
    if ((connections.table.rows[row + FLAGS] & FWD_MASK) === MASQ) {
      const verdict = rewriteReply(this, connections, row);
      if (verdict !== PASS) {
        connections.finish(row, tick);
        return verdict;
      }
    }
    countOut(this, connections.destinationOf(row), packet.length);
    connections.track(row, OUTPUT, packet);
    connections.finish(row, tick);
    return V.REPLY;
  }

  /** Whether the packet comes from a NAT server, and has begun a connection. */
  #startsConnection(connections: Connections): boolean {
    const { packet } = this;
    if (packet.protocol !== ipv4.PROTO_UDP || !packet.hasPorts) return false;
    return this.#scheduling.connectOut(this, packet, connections) === SCHEDULED;
  }

  /** Whether the packet comes from a NAT server, but belongs to no connection and is no reset. */
  #isStrayReply(): boolean {
    const { packet } = this;
    if (!packet.hasPorts) return false;
    if (packet.protocol === ipv4.PROTO_TCP && (packet.tcpFlags & RST) !== 0) return false;
    const startsSctp = packet.protocol === ipv4.PROTO_SCTP && packet.sctpChunk !== NO_CHUNK;
    if (startsSctp && startsWithAbort(this.view, packet.ip + packet.headerLength)) return false;
    const { family, protocol, address, sourcePort } = packet;
    return this.registry.findMasqServer(family, protocol, address, SRC, sourcePort) !== null;
  }

  /**
   * A packet that may be for a service: its connection is found or made, and it is sent to the server.
   * @returns {@link NOT_OURS} or a verdict.
   */
  #request(connections: Connections): number {
    const { packet, tick } = this;
    let row = packet.hasPorts
      ? connections.table.lookupIn(packet.protocol, packet.address, SRC, packet.sourcePort, DST, packet.destinationPort)
      : 0;
    if (row !== 0 && opensConnection(packet)) {
      const verdict = this.#reopen(connections, row);
      if (verdict === ANEW) row = 0;
      else if (verdict !== PASS) return verdict;
    }
    if (row !== 0) {
      const destination = connections.destinationOf(row);
      if (destination !== null && !destination.available) {
        if (this.sysctl.expire_nodest_conn === 0) return V.SERVER_GONE;
        connections.expireNow(row, tick);
        if ((connections.table.rows[row + FLAGS] & TRACKED) !== 0) return V.SERVER_GONE;
        row = 0;
      }
    }
    if (row === 0) {
      const result = this.#scheduling.schedule(this, packet, connections, this.marks.of(packet), false);
      if (result === LEAVE) {
        tellPortUnreachable(this);
        return V.NO_SERVER;
      }
      if (result !== SCHEDULED) return result;
      row = this.#scheduling.row;
    }
    countIn(this, connections.destinationOf(row), packet.length);
    connections.track(row, INPUT, packet);
    const verdict = transmit(this, connections, row);
    const packets = connections.countPacket(row);
    if (this.syncMaster !== null) this.syncMaster.packet(connections, row, packets, tick);
    connections.finish(row, tick);
    return verdict;
  }

  /**
   * A SYN for a connection that exists: whether the old one is over, so that this is a new one from the same port.
   * @returns {@link PASS} for the old connection, {@link ANEW} for a new one, or the verdict that it must come again.
   */
  #reopen(connections: Connections, row: number): number {
    const { sysctl, tick } = this;
    const { rows } = connections.table;
    const destination = connections.destinationOf(row);
    const quiescent = sysctl.expire_nodest_conn !== 0 && destination !== null && destination.weight === 0;
    if (!quiescent && !isOver(rows, row, sysctl.conn_reuse_mode)) return PASS;
    if (rows[row + N_CONTROL] === 0) connections.expireNow(row, tick);
    const state = rows[row + META] >>> 24;
    const isTracked = (rows[row + FLAGS] & TRACKED) !== 0 && state !== TCP_TIME_WAIT && state !== TCP_CLOSE;
    return isTracked ? V.SERVER_GONE : ANEW;
  }

  loseOwn(ip: number, length: number): void {
    const isTunnel = this.packet.family === 4 && this.registry.isActive(4);
    if (isTunnel) loseTunnelPacket(this, this.connections4, ip, length);
  }

  localOut(ip: number, family: Family): boolean {
    if (!this.registry.isActive(family)) return true;
    if (family === 6) return receiveOwn6(this, this.connections6, ip);
    receiveOwn4(this, this.connections4, ip);
    return true;
  }
}

function interfaceOf(interfaces: readonly Interface[], vlan: number): Interface | null {
  for (let i = 0; i < interfaces.length; i++) if (interfaces[i].vlan === vlan) return interfaces[i];
  return null;
}

function mayFragment(packet: Packet, view: DataView): boolean {
  return packet.family === 4 && (ipv4.fragment(view, packet.ip) & ipv4.DF) === 0;
}

function icmpProtocol(family: Family): number {
  return family === 4 ? ipv4.PROTO_ICMP : ipv4.PROTO_ICMPV6;
}

/** Whether the packet asks for a new connection. */
function opensConnection(packet: Packet): boolean {
  if (packet.protocol === ipv4.PROTO_TCP) return (packet.tcpFlags & SYN) !== 0;
  return packet.protocol === ipv4.PROTO_SCTP && packet.sctpChunk === CHUNK_INIT;
}

/** Whether a connection is over, by `conn_reuse_mode`: 0 never, bit 0 in TIME_WAIT and CLOSE, bit 1 in FIN_WAIT too. */
function isOver(rows: Int32Array, row: number, mode: number): boolean {
  if (mode === 0 || rows[row + CONTROL] !== 0) return false;
  const state = rows[row + META] >>> 24;
  if (((rows[row + META] >>> 16) & 0xff) === ipv4.PROTO_SCTP) return state === SCTP_CLOSED;
  if (state === TCP_TIME_WAIT || state === TCP_CLOSE) return true;
  return (mode & 2) !== 0 && state === TCP_FIN_WAIT && (rows[row + FLAGS] & NOOUTPUT) !== 0;
}

/**
 * From a packet without a connection to one: is it for a service, may it open a connection, which server gets it
 * (kernel behaviour: ip_vs_core.c, ip_vs_schedule and ip_vs_sched_persist).
 */
import type { Family, Words } from '../address.ts';
import type { Connections } from '../conntrack/connections.ts';
import type { EngineIdentity } from '../conntrack/engine-templates.ts';
import { BYPASS } from '../conntrack/forward-method.ts';
import { ONE_PACKET, TEMPLATE, TIMEOUT } from '../conntrack/layout.ts';
import type { Datapath } from '../datapath.ts';
import { DST, type Packet, SRC } from '../packet/dissect.ts';
import { PROTO_IP, PROTO_SCTP, PROTO_TCP, PROTO_UDP } from '../packet/ipv4.ts';
import { CHUNK_INIT, NO_CHUNK, startsWithAbort } from '../packet/sctp.ts';
import { headerLength, RST, SYN } from '../packet/tcp.ts';
import { seconds } from '../ticks.ts';
import { V } from '../verdicts.ts';
import type { Destination } from './destination.ts';
import { type EnginePacket, MAX_ENGINE_DATA, type PersistenceEngine } from './engines/engine.ts';
import { FTP_DATA_PORT, FTP_PORT } from './registry.ts';
import { type Service, SVC_ONEPACKET, SVC_PERSISTENT } from './service.ts';
import { CONNS } from './stats.ts';

/** Not for a service: the packet is the host's business. */
export const NOT_OURS = -1;
/** A connection was made: see {@link Scheduling.row}. */
export const SCHEDULED = -2;
/** The service has no server for it: the client is to be told. */
export const LEAVE = -3;

/** One packet's scheduling, reused for every packet. */
export class Scheduling implements EnginePacket {
  family: Family = 4;
  protocol = 0;
  source: Words = new Int32Array(4);
  destination: Words = new Int32Array(4);
  sourcePort = 0;
  destinationPort = 0;
  inverse = false;
  view: DataView = new DataView(new ArrayBuffer(0));
  payload = 0;
  payloadLength = 0;

  /** The connection made. */
  row = 0;
  /** The service found, for {@link LEAVE}. */
  service: Service | null = null;

  /** Who is the client of the packet at hand and what it talks to: places in `packet.address`, and ports. */
  #clientAt = SRC;
  #clientPort = 0;
  #virtualAt = DST;
  #virtualPort = 0;
  #mark = 0;
  readonly #markWords: Words = new Int32Array(4);

  /**
   * Finds the packet's service and makes a connection for it.
   * @param mark the packet's firewall mark.
   * @param aboutIcmp the packet is the one inside an ICMP error, which travelled the other way.
   * @returns {@link NOT_OURS}, {@link SCHEDULED}, {@link LEAVE}, or the verdict that ends the packet's way.
   */
  schedule(dp: Datapath, packet: Packet, connections: Connections, mark: number, aboutIcmp: boolean): number {
    const { protocol } = packet;
    if (aboutIcmp ? !packet.hasPorts : !packet.hasTransport) return V.SHORT_TRANSPORT;
    if (!aboutIcmp && protocol === PROTO_TCP) {
      if ((packet.tcpFlags & RST) !== 0) return NOT_OURS;
      if ((packet.tcpFlags & SYN) === 0 && dp.sysctl.sloppy_tcp === 0) return NOT_OURS;
    }
    if (!aboutIcmp && protocol === PROTO_SCTP) {
      if (packet.sctpChunk === NO_CHUNK) return V.SHORT_TRANSPORT;
      if (startsWithAbort(dp.view, packet.ip + packet.headerLength)) return NOT_OURS;
      if (packet.sctpChunk !== CHUNK_INIT && dp.sysctl.sloppy_sctp === 0) return NOT_OURS;
    }
    this.#mark = mark;
    this.#clientAt = aboutIcmp ? DST : SRC;
    this.#clientPort = aboutIcmp ? packet.destinationPort : packet.sourcePort;
    this.#virtualAt = aboutIcmp ? SRC : DST;
    this.#virtualPort = aboutIcmp ? packet.sourcePort : packet.destinationPort;
    const { address } = packet;
    const service = dp.registry.find(packet.family, mark, protocol, address, this.#virtualAt, this.#virtualPort);
    this.service = service;
    if (service === null) return NOT_OURS;
    if (dp.defence.dropsNext()) return V.OVERLOAD;

    this.#fill(packet, aboutIcmp);
    // Data connections of active FTP come from the servers' side and have been made when they were announced.
    if (this.#clientPort === FTP_DATA_PORT) return NOT_OURS;
    const result =
      (service.flags & SVC_PERSISTENT) !== 0
        ? this.#persistent(dp, service, packet, connections)
        : this.#plain(dp, service, packet, connections);
    if (result === SCHEDULED) {
      countConnection(dp, connections.destinationOf(this.row)!);
      return SCHEDULED;
    }
    if (result !== LEAVE) return result;
    return this.#leave(dp, service, packet, connections);
  }

  #fill(packet: Packet, inverse: boolean): void {
    this.family = packet.family;
    this.protocol = packet.protocol;
    for (let i = 0; i < 4; i++) {
      this.source[i] = packet.address[SRC + i];
      this.destination[i] = packet.address[DST + i];
    }
    this.sourcePort = packet.sourcePort;
    this.destinationPort = packet.destinationPort;
    this.inverse = inverse;
  }

  #pick(dp: Datapath, service: Service): Destination | null {
    dp.registry.refresh(service);
    const destination = service.scheduler?.schedule(this) ?? null;
    // A scheduler of the user's may remember a server that was removed: its number may be another's by now.
    if (destination?.available === true) return destination;
    dp.listener.noServer(service);
    return null;
  }

  #plain(dp: Datapath, service: Service, packet: Packet, connections: Connections): number {
    if (service.fwmark === 0 && this.#virtualPort !== service.port) return LEAVE;
    const destination = this.#pick(dp, service);
    if (destination === null) return LEAVE;
    const port = destination.port === 0 ? this.#virtualPort : destination.port;
    return this.#connect(dp, service, packet, connections, destination, port);
  }

  /** Makes the packet's connection to a server. */
  #connect(
    dp: Datapath,
    service: Service,
    packet: Packet,
    connections: Connections,
    destination: Destination,
    serverPort: number,
  ): number {
    this.row = connections.create(
      packet.protocol,
      packet.address,
      this.#clientAt,
      this.#clientPort,
      packet.address,
      this.#virtualAt,
      this.#virtualPort,
      destination,
      serverPort,
      onePacketFlag(service, packet),
      this.#mark,
      dp.tick,
    );
    return this.row === 0 ? V.TABLE_FULL : SCHEDULED;
  }

  /**
   * Persistence: the client (or its network) has a template, which remembers its server. A template is used as long as
   * its server is there, whatever the scheduler, weight or thresholds say.
   */
  #persistent(dp: Datapath, service: Service, packet: Packet, connections: Connections): number {
    const virtualPort = this.#virtualPort;
    // The template's key: all ports together under a firewall mark, on port 0 and for FTP, else the service's own port.
    const ownPort = virtualPort === service.port;
    const templatePort = ownPort && service.port !== FTP_PORT ? virtualPort : 0;
    let protocol = packet.protocol;
    let words: Words = packet.address;
    let at = this.#virtualAt;
    if (!ownPort && service.fwmark !== 0) {
      protocol = PROTO_IP;
      words = this.#markWords;
      words[0] = service.fwmark;
      at = 0;
    }
    const key = this.#templateKey;
    for (let i = 0; i < 4; i++) {
      key[i] = packet.address[this.#clientAt + i] & service.netmask[i];
      key[4 + i] = words[at + i];
    }

    const identity = service.engine === null ? null : this.#identify(dp, service.engine, packet);
    if (identity === null && service.engine !== null) return V.UNIDENTIFIED;

    let template =
      identity === null
        ? connections.table.lookupTemplate(protocol, key, 0, 4, templatePort)
        : connections.engines.find(protocol, key, templatePort, identity);
    if (template !== 0 && !isValid(dp, connections.destinationOf(template))) {
      connections.invalidateTemplate(template);
      template = 0;
    }
    let destination: Destination;
    if (template === 0) {
      const picked = this.#pick(dp, service);
      if (picked === null) return LEAVE;
      destination = picked;
      const port = ownPort && service.port !== FTP_PORT ? destination.port : 0;
      template =
        identity === null
          ? connections.create(
              protocol,
              key,
              0,
              0,
              key,
              4,
              templatePort,
              destination,
              port,
              TEMPLATE,
              this.#mark,
              dp.tick,
            )
          : connections.createForEngine(protocol, key, templatePort, destination, port, identity, this.#mark, dp.tick);
      if (template === 0) return V.TABLE_FULL;
      connections.table.rows[template + TIMEOUT] = seconds(service.timeout);
    } else {
      destination = connections.destinationOf(template)!;
    }
    const port = ownPort && destination.port !== 0 ? destination.port : virtualPort;
    const result = this.#connect(dp, service, packet, connections, destination, port);
    if (result === SCHEDULED) connections.control(this.row, template);
    connections.restart(template, dp.tick);
    return result;
  }

  readonly #templateKey: Words = new Int32Array(8);

  /** What the service's engine knows the packet's client by, or null. ICMP errors carry nothing to know it by. */
  #identify(dp: Datapath, engine: PersistenceEngine, packet: Packet): EngineIdentity | null {
    if (this.inverse) return null;
    const transport = packet.ip + packet.headerLength;
    const end = packet.ip + packet.length;
    this.view = dp.view;
    this.payload = Math.min(transport + transportLength(dp.view, packet), end);
    this.payloadLength = end - this.payload;
    const data = engine.identify(this);
    if (data === null || data.length === 0 || data.length > MAX_ENGINE_DATA) return null;
    return { engine: engine.name, data };
  }

  /**
   * A UDP datagram that a NAT server sends, and that belongs to no connection, may begin one: if its service's engine
   * says so (kernel behaviour: ip_vs_new_conn_out). The template then remembers that server.
   * @returns {@link NOT_OURS} or {@link SCHEDULED}.
   */
  connectOut(dp: Datapath, packet: Packet, connections: Connections): number {
    const { family, protocol, address, sourcePort, destinationPort } = packet;
    const destination = dp.registry.findConnectingServer(family, protocol, address, SRC, sourcePort);
    if (destination === null) return NOT_OURS;
    const { service } = destination;
    let template = 0;
    if ((service.flags & SVC_PERSISTENT) !== 0) {
      this.#fill(packet, false);
      const identity = this.#identify(dp, service.engine!, packet);
      if (identity === null) return NOT_OURS;
      template = this.#templateFor(dp, connections, packet, destination, identity);
      if (template === 0) return NOT_OURS;
    }
    this.row = connections.create(
      protocol,
      address,
      DST,
      destinationPort,
      service.words,
      0,
      service.port,
      destination,
      sourcePort,
      onePacketFlag(service, packet),
      0,
      dp.tick,
    );
    if (template !== 0) {
      if (this.row !== 0) connections.control(this.row, template);
      connections.restart(template, dp.tick);
    }
    if (this.row === 0) return NOT_OURS;
    countConnection(dp, destination);
    return SCHEDULED;
  }

  /** The template of what a server sends to a client; made, or made anew, when it does not lead to that server. */
  #templateFor(
    dp: Datapath,
    connections: Connections,
    packet: Packet,
    destination: Destination,
    identity: EngineIdentity,
  ): number {
    const { service } = destination;
    const key = this.#templateKey;
    for (let i = 0; i < 4; i++) {
      key[i] = packet.address[DST + i] & service.netmask[i];
      key[4 + i] = service.words[i];
    }
    const found = connections.engines.find(packet.protocol, key, service.port, identity);
    if (found !== 0) {
      const present = connections.destinationOf(found);
      if (present === destination && isValid(dp, present)) return found;
      connections.invalidateTemplate(found);
    }
    const { protocol, sourcePort } = packet;
    const made = connections.createForEngine(
      protocol,
      key,
      service.port,
      destination,
      sourcePort,
      identity,
      0,
      dp.tick,
    );
    if (made !== 0) connections.table.rows[made + TIMEOUT] = seconds(service.timeout);
    return made;
  }

  /** There is no server: let the host have it, send it where it was going, or tell the client. */
  #leave(dp: Datapath, service: Service, packet: Packet, connections: Connections): number {
    if (
      dp.sysctl.cache_bypass !== 0 &&
      service.fwmark !== 0 &&
      !this.inverse &&
      // Of IPv6 Linux takes its own addresses for somebody else's, and then does not send to itself.
      (packet.family === 6 || !dp.host.isOwn(4, packet.address, DST))
    ) {
      this.row = connections.create(
        packet.protocol,
        packet.address,
        SRC,
        packet.sourcePort,
        packet.address,
        DST,
        packet.destinationPort,
        null,
        0,
        BYPASS | onePacketFlag(service, packet),
        this.#mark,
        dp.tick,
      );
      return this.row === 0 ? V.TABLE_FULL : SCHEDULED;
    }
    if (service.port === FTP_PORT && this.#virtualPort !== FTP_PORT) return NOT_OURS;
    return this.inverse ? V.NO_SERVER : LEAVE;
  }
}

function countConnection(dp: Datapath, destination: Destination): void {
  destination.stats.counts[CONNS]++;
  destination.service.stats.counts[CONNS]++;
  dp.stats.counts[CONNS]++;
}

/** Length of the transport header, in bytes. */
function transportLength(view: DataView, packet: Packet): number {
  if (packet.protocol === PROTO_TCP) return headerLength(view, packet.ip + packet.headerLength);
  return packet.protocol === PROTO_UDP ? 8 : 12;
}

function onePacketFlag(service: Service, packet: Packet): number {
  return (service.flags & SVC_ONEPACKET) !== 0 && packet.protocol === PROTO_UDP ? ONE_PACKET : 0;
}

function isValid(dp: Datapath, destination: Destination | null): boolean {
  if (destination === null || !destination.available) return false;
  return dp.sysctl.expire_quiescent_template === 0 || destination.weight !== 0;
}

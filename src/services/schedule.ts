/**
 * From a packet without a connection to one: is it for a service, may it open a connection, which server gets it
 * (kernel behaviour: ip_vs_core.c, ip_vs_schedule and ip_vs_sched_persist).
 */
import type { Family, Words } from '../address.ts';
import type { Connections } from '../conntrack/connections.ts';
import { BYPASS } from '../conntrack/forward-method.ts';
import { ONE_PACKET, TEMPLATE, TIMEOUT } from '../conntrack/layout.ts';
import type { Datapath } from '../datapath.ts';
import { DST, type Packet, SRC } from '../packet/dissect.ts';
import { PROTO_IP, PROTO_SCTP, PROTO_TCP, PROTO_UDP } from '../packet/ipv4.ts';
import { CHUNK_ABORT, CHUNK_INIT, NO_CHUNK } from '../packet/sctp.ts';
import { RST, SYN } from '../packet/tcp.ts';
import type { ScheduledPacket } from '../schedulers/scheduler.ts';
import { seconds } from '../ticks.ts';
import { V } from '../verdicts.ts';
import type { Destination } from './destination.ts';
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
export class Scheduling implements ScheduledPacket {
  family: Family = 4;
  protocol = 0;
  source: Words = new Int32Array(4);
  destination: Words = new Int32Array(4);
  sourcePort = 0;
  destinationPort = 0;
  inverse = false;

  /** The connection made. */
  row = 0;
  /** The service found, for {@link LEAVE}. */
  service: Service | null = null;

  readonly #network: Words = new Int32Array(4);
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
      if (packet.sctpChunk === CHUNK_ABORT) return NOT_OURS;
      if (packet.sctpChunk !== CHUNK_INIT && dp.sysctl.sloppy_sctp === 0) return NOT_OURS;
    }
    const virtualAt = aboutIcmp ? SRC : DST;
    const virtualPort = aboutIcmp ? packet.sourcePort : packet.destinationPort;
    const service = dp.registry.find(packet.family, mark, protocol, packet.address, virtualAt, virtualPort);
    this.service = service;
    if (service === null) return NOT_OURS;
    if (dp.defence.dropsNext()) return V.OVERLOAD;

    this.#fill(packet, aboutIcmp);
    const clientAt = aboutIcmp ? DST : SRC;
    const clientPort = aboutIcmp ? packet.destinationPort : packet.sourcePort;
    // Data connections of active FTP come from the servers' side and have been made when they were announced.
    if (clientPort === FTP_DATA_PORT) return NOT_OURS;
    const result =
      (service.flags & SVC_PERSISTENT) !== 0
        ? this.#persistent(dp, service, packet, connections, clientAt, clientPort, virtualAt, virtualPort, mark)
        : this.#plain(dp, service, packet, connections, clientAt, clientPort, virtualAt, virtualPort, mark);
    if (result === SCHEDULED) {
      const destination = connections.destinationOf(this.row)!;
      destination.stats.counts[CONNS]++;
      service.stats.counts[CONNS]++;
      dp.stats.counts[CONNS]++;
      return SCHEDULED;
    }
    if (result !== LEAVE) return result;
    return this.#leave(dp, service, packet, connections, virtualPort, aboutIcmp, mark);
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
    const destination = service.scheduler === null ? null : service.scheduler.schedule(this);
    if (destination === null) dp.listener.noServer(service);
    return destination;
  }

  #plain(
    dp: Datapath,
    service: Service,
    packet: Packet,
    connections: Connections,
    clientAt: number,
    clientPort: number,
    virtualAt: number,
    virtualPort: number,
    mark: number,
  ): number {
    if (service.fwmark === 0 && virtualPort !== service.port) return LEAVE;
    const destination = this.#pick(dp, service);
    if (destination === null) return LEAVE;
    const port = destination.port === 0 ? virtualPort : destination.port;
    this.row = connections.create(
      packet.protocol,
      packet.address,
      clientAt,
      clientPort,
      packet.address,
      virtualAt,
      virtualPort,
      destination,
      port,
      onePacketFlag(service, packet),
      mark,
      dp.tick,
    );
    return this.row === 0 ? V.TABLE_FULL : SCHEDULED;
  }

  /**
   * Persistence: the client (or its network) has a template, which remembers its server. A template is used as long as
   * its server is there, whatever the scheduler, weight or thresholds say.
   */
  #persistent(
    dp: Datapath,
    service: Service,
    packet: Packet,
    connections: Connections,
    clientAt: number,
    clientPort: number,
    virtualAt: number,
    virtualPort: number,
    mark: number,
  ): number {
    const network = this.#network;
    for (let i = 0; i < 4; i++) network[i] = packet.address[clientAt + i] & service.netmask[i];
    // The template's key: all ports together under a firewall mark, on port 0 and for FTP, else the service's own port.
    const ownPort = virtualPort === service.port;
    const templatePort = ownPort && service.port !== FTP_PORT ? virtualPort : 0;
    let protocol = packet.protocol;
    let words: Words = packet.address;
    let at = virtualAt;
    if (!ownPort && service.fwmark !== 0) {
      protocol = PROTO_IP;
      words = this.#markWords;
      words[0] = service.fwmark;
      at = 0;
    }
    const key = this.#templateKey;
    for (let i = 0; i < 4; i++) {
      key[i] = network[i];
      key[4 + i] = words[at + i];
    }

    let template = connections.table.lookupTemplate(protocol, key, 0, 4, templatePort);
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
      template = connections.create(
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
        mark,
        dp.tick,
      );
      if (template === 0) return V.TABLE_FULL;
      connections.table.rows[template + TIMEOUT] = seconds(service.timeout);
    } else {
      destination = connections.destinationOf(template)!;
    }
    const port = ownPort && destination.port !== 0 ? destination.port : virtualPort;
    this.row = connections.create(
      packet.protocol,
      packet.address,
      clientAt,
      clientPort,
      packet.address,
      virtualAt,
      virtualPort,
      destination,
      port,
      onePacketFlag(service, packet),
      mark,
      dp.tick,
    );
    if (this.row !== 0) connections.control(this.row, template);
    connections.restart(template, dp.tick);
    return this.row === 0 ? V.TABLE_FULL : SCHEDULED;
  }

  readonly #templateKey: Words = new Int32Array(8);

  /** There is no server: let the host have it, send it where it was going, or tell the client. */
  #leave(
    dp: Datapath,
    service: Service,
    packet: Packet,
    connections: Connections,
    virtualPort: number,
    aboutIcmp: boolean,
    mark: number,
  ): number {
    const { tick } = dp;
    if (
      dp.sysctl.cache_bypass !== 0 &&
      service.fwmark !== 0 &&
      !aboutIcmp &&
      !dp.host.isOwn(packet.family, packet.address, DST)
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
        mark,
        tick,
      );
      return this.row === 0 ? V.TABLE_FULL : SCHEDULED;
    }
    if (service.port === FTP_PORT && virtualPort !== FTP_PORT) return NOT_OURS;
    return aboutIcmp ? V.NO_SERVER : LEAVE;
  }
}

function onePacketFlag(service: Service, packet: Packet): number {
  return (service.flags & SVC_ONEPACKET) !== 0 && packet.protocol === PROTO_UDP ? ONE_PACKET : 0;
}

function isValid(dp: Datapath, destination: Destination | null): boolean {
  if (destination === null || !destination.available) return false;
  return dp.sysctl.expire_quiescent_template === 0 || destination.weight !== 0;
}

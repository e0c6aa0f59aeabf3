/**
 * Connections as the director uses them: rows of the table, their timers, their states, and what they mean for the
 * counts of their destinations. One instance for IPv4 and one for IPv6 (kernel behaviour: ip_vs_conn.c).
 */
import { type Family, type Words, wordsOf } from '../address.ts';
import type { Packet } from '../packet/dissect.ts';
import { PROTO_SCTP, PROTO_TCP, PROTO_UDP } from '../packet/ipv4.ts';
import { NO_CHUNK } from '../packet/sctp.ts';
import { SYN } from '../packet/tcp.ts';
import type { Destination } from '../services/destination.ts';
import { seconds } from '../ticks.ts';
import { ApplicationState } from './application.ts';
import { ACTIVE_CONNS, countOf, INACTIVE_CONNS } from './counts.ts';
import { type EngineIdentity, EngineTemplates } from './engine-templates.ts';
import { MASQ } from './forward-method.ts';
import { countSegment, EXPIRED } from './handshakes.ts';
import * as layout from './layout.ts';
import type { ProtocolTimeouts } from './protocols.ts';
import { nextSctpState, SCTP_ESTABLISHED } from './sctp-state.ts';
import { ConnectionTable, type TableMemory } from './table.ts';
import * as tcpState from './tcp-state.ts';
import { UDP_NORMAL } from './udp-state.ts';
import { TimerWheel } from './wheel.ts';

// Numbers of other modules are read from there at every use; those of this one become part of the machine code.
const {
  CADDR,
  CONTROL,
  DEST,
  ELSEWHERE,
  ENGINE,
  EXPIRES,
  FLAGS,
  FWD_MASK,
  HAS_MORE,
  HASHED,
  HELPED,
  IN_PKTS,
  INACTIVE,
  MARK,
  META,
  N_CONTROL,
  NO_CPORT,
  NO_DESTINATION,
  NOOUTPUT,
  ONE_PACKET,
  PORTS,
  SYN_ANSWERED,
  SYNCED,
  TEMPLATE,
  TEMPLATE_ASSURED,
  TIMEOUT,
  TRACKED,
} = layout;
const { INPUT, INPUT_ONLY, isActive, isOpening, NORMAL_TABLE, nextTcpState, OUTPUT, TCP_ESTABLISHED, TCP_LISTEN } =
  tcpState;

/** What a new connection lives for until its first packet has given it a state. */
const NEW_TICKS = seconds(3);
/** What a connection that others still hang on is given when its time is over. */
const HELD_TICKS = seconds(60);
/** The FTP helper looks into NAT connections to this virtual port. */
const FTP_PORT = 21;

/** Told of connections that come and go, when somebody wants to know. */
export interface ConnectionObserver {
  created(connections: Connections, row: number): void;
  expired(connections: Connections, row: number): void;
  /** A connection's time was over, but others hang on it: it was given another minute. */
  held(connections: Connections, row: number, tick: number): void;
  /** A destination went over its upper threshold or came back below the lower one. */
  overloadChanged(destination: Destination): void;
}

export class Connections {
  readonly family: Family;
  readonly table: ConnectionTable;
  readonly #wheel: TimerWheel;
  /** Destinations by the ids in the rows. */
  readonly #destinations: readonly (Destination | null)[];
  readonly #timeouts: ProtocolTimeouts;
  readonly #observer: ConnectionObserver;
  /** Rows whose time is over with the tick in which they were told so. */
  readonly #ending: number[] = [];
  /** The TCP state table in force: the normal or the secure one. */
  tcpTable: Uint8Array = NORMAL_TABLE;
  /** The time, as it was told last. */
  #tick: number;
  /** The templates of persistence engines. */
  readonly engines: EngineTemplates;
  readonly #applications = new Map<number, ApplicationState>();

  constructor(
    family: Family,
    capacity: number,
    seed: number,
    tick: number,
    destinations: readonly (Destination | null)[],
    timeouts: ProtocolTimeouts,
    observer: ConnectionObserver,
    memory?: TableMemory,
  ) {
    this.family = family;
    this.table = new ConnectionTable(wordsOf(family), capacity, seed, memory);
    this.engines = new EngineTemplates(wordsOf(family));
    this.#wheel = new TimerWheel(this.table.rows, tick, (row, now) => {
      this.#noteExpiry(row);
      this.#expire(row, now);
    });
    this.#tick = tick;
    this.#destinations = destinations;
    this.#timeouts = timeouts;
    this.#observer = observer;
  }

  /** The destination of a connection; null for one without (bypass, or synced before its service was known). */
  destinationOf(row: number): Destination | null {
    const id = this.table.rows[row + DEST];
    return id === NO_DESTINATION ? null : this.#destinations[id];
  }

  /**
   * Makes a connection or template and, unless it is for one packet, puts it in the table.
   * @param flags connection flags; those that follow from the destination are added.
   * @param serverPort the server's port.
   * @returns its row, or 0 when the table is full.
   */
  create(
    protocol: number,
    clientWords: Words,
    clientAt: number,
    clientPort: number,
    virtualWords: Words,
    virtualAt: number,
    virtualPort: number,
    destination: Destination | null,
    serverPort: number,
    flags: number,
    mark: number,
    tick: number,
  ): number {
    const row = this.#make(
      protocol,
      clientWords,
      clientAt,
      clientPort,
      virtualWords,
      virtualAt,
      virtualPort,
      destination,
      serverPort,
      flags,
      mark,
    );
    if (row !== 0) this.#start(row, tick);
    return row;
  }

  #make(
    protocol: number,
    clientWords: Words,
    clientAt: number,
    clientPort: number,
    virtualWords: Words,
    virtualAt: number,
    virtualPort: number,
    destination: Destination | null,
    serverPort: number,
    flags: number,
    mark: number,
  ): number {
    const { table } = this;
    const { rows, width } = table;
    const row = table.allocate();
    if (row === 0) return 0;
    rows[row + PORTS] = (clientPort << 16) | virtualPort;
    rows[row + META] = (protocol << 16) | serverPort;
    rows[row + MARK] = mark;
    for (let i = 0; i < width; i++) {
      rows[row + CADDR + i] = clientWords[clientAt + i];
      rows[row + table.vaddr + i] = virtualWords[virtualAt + i];
    }
    rows[row + FLAGS] = flags;
    rows[row + DEST] = NO_DESTINATION;
    if (destination !== null) this.bind(row, destination);
    return row;
  }

  /**
   * Makes a template of a persistence engine.
   * @param key the client's address (or its network) at 0 and the virtual one at 4.
   * @returns its row, or 0 when the table is full.
   */
  createForEngine(
    protocol: number,
    key: Words,
    virtualPort: number,
    destination: Destination,
    serverPort: number,
    identity: EngineIdentity,
    mark: number,
    tick: number,
  ): number {
    const flags = TEMPLATE | ENGINE;
    const row = this.#make(protocol, key, 0, 0, key, 4, virtualPort, destination, serverPort, flags, mark);
    if (row === 0) return 0;
    this.engines.add(row, protocol, key, virtualPort, identity);
    this.#start(row, tick);
    return row;
  }

  /**
   * Makes a connection or template that a sync master told of. Its server may be unknown here: then it is used by its
   * address alone, until {@link bind} ties it to a destination.
   * @param words the client's, the virtual and the server's address, four words each.
   * @param flags connection flags, SYNCED among them, and ENGINE when there is an identity.
   * @param identity for a template of a persistence engine, what tells it apart; else null.
   * @returns its row, or 0 when the table is full.
   */
  createSynced(
    protocol: number,
    words: Words,
    clientPort: number,
    virtualPort: number,
    destination: Destination | null,
    serverPort: number,
    flags: number,
    mark: number,
    identity: EngineIdentity | null,
    tick: number,
  ): number {
    const { table } = this;
    const { rows, width } = table;
    const row = table.allocate();
    if (row === 0) return 0;
    rows[row + PORTS] = (clientPort << 16) | virtualPort;
    rows[row + META] = (protocol << 16) | serverPort;
    rows[row + MARK] = mark;
    for (let i = 0; i < width; i++) {
      rows[row + CADDR + i] = words[i];
      rows[row + table.vaddr + i] = words[4 + i];
      rows[row + table.daddr + i] = words[8 + i];
    }
    rows[row + FLAGS] = flags;
    rows[row + DEST] = NO_DESTINATION;
    if (destination !== null) this.bind(row, destination);
    else this.#bindHelper(row);
    if (identity !== null) this.engines.add(row, protocol, words, virtualPort, identity);
    this.#start(row, tick);
    return row;
  }

  /** Lets a new row's time begin and, unless it is for one packet, be found. */
  #start(row: number, tick: number): void {
    const { rows } = this.table;
    rows[row + TIMEOUT] = NEW_TICKS;
    rows[row + EXPIRES] = (tick + NEW_TICKS) | 0;
    if ((rows[row + FLAGS] & ONE_PACKET) === 0) {
      this.table.hash(row);
      this.#wheel.insert(row);
    }
    this.#observer.created(this, row);
  }

  /** Takes a connection's state and timeout over from a sync master. */
  adopt(row: number, state: number, timeout: number, tick: number): void {
    const { rows } = this.table;
    rows[row + META] = (state << 24) | (rows[row + META] & 0xffffff);
    rows[row + TIMEOUT] = timeout;
    this.restart(row, tick);
  }

  /** Ties a connection to its destination: forward method, address, counts, threshold. */
  bind(row: number, destination: Destination): void {
    const { rows, width, daddr } = this.table;
    for (let i = 0; i < width; i++) rows[row + daddr + i] = destination.words[i];
    rows[row + DEST] = destination.id;
    let flags = rows[row + FLAGS];
    // The destination decides the method; whether a connection from a sync master is active, the master knew.
    if ((flags & SYNCED) !== 0) flags &= ~(FWD_MASK | NOOUTPUT);
    if ((flags & SYNCED) === 0 || (flags & TEMPLATE) !== 0) flags |= INACTIVE;
    flags |= destination.method;
    if (destination.method !== MASQ) flags |= NOOUTPUT;
    rows[row + FLAGS] = flags;
    this.#countFor(destination, flags);
    this.#bindHelper(row);
  }

  /** One more connection of a destination's. */
  #countFor(destination: Destination, flags: number): void {
    destination.references++;
    destination.count(countOf(flags), 1);
    const { upperThreshold } = destination;
    if (upperThreshold !== 0 && !destination.overloaded && totalConns(destination) >= upperThreshold) {
      if (destination.setOverloaded(true)) this.#observer.overloadChanged(destination);
    }
  }

  /** Lets a row that was planted (transplant.ts) count for its destination, and its timer run. */
  begin(row: number): void {
    const destination = this.destinationOf(row);
    if (destination !== null) this.#countFor(destination, this.table.rows[row + FLAGS]);
    this.#bindHelper(row);
    this.#wheel.insert(row);
    this.#observer.created(this, row);
  }

  /** Lets the FTP helper look into a control connection under NAT (kernel behaviour: ip_vs_bind_app). */
  #bindHelper(row: number): void {
    const { rows } = this.table;
    if ((rows[row + PORTS] & 0xffff) !== FTP_PORT || ((rows[row + META] >>> 16) & 0xff) !== PROTO_TCP) return;
    if ((rows[row + FLAGS] & FWD_MASK) === MASQ) rows[row + FLAGS] |= HELPED | TRACKED;
  }

  /** What an application helper keeps of a connection that it looks into, if there is something. */
  applicationOf(row: number): ApplicationState | undefined {
    return this.#applications.get(row);
  }

  /** The same, made where there was nothing yet. The connection must be one that a helper looks into (HELPED). */
  makeApplication(row: number): ApplicationState {
    let state = this.#applications.get(row);
    if (state === undefined) {
      state = new ApplicationState();
      this.#applications.set(row, state);
    }
    return state;
  }

  #unbind(row: number): void {
    const { rows } = this.table;
    const destination = this.destinationOf(row);
    if (destination === null) return;
    rows[row + DEST] = NO_DESTINATION;
    destination.references--;
    const flags = rows[row + FLAGS];
    destination.count(countOf(flags), -1);
    if (!destination.overloaded) return;
    const { upperThreshold, lowerThreshold } = destination;
    const total = totalConns(destination);
    if (lowerThreshold !== 0 ? total < lowerThreshold : upperThreshold === 0 || total * 4 < upperThreshold * 3) {
      if (destination.setOverloaded(false)) this.#observer.overloadChanged(destination);
    }
  }

  /** Hangs a connection on its template: the template lives at least as long. */
  control(row: number, template: number): void {
    const { rows } = this.table;
    rows[row + CONTROL] = template;
    rows[template + N_CONTROL]++;
  }

  /** Takes note of a packet: the state, the timeout that goes with it, and the destination's counts follow. */
  track(row: number, direction: number, packet: Packet): void {
    const { rows } = this.table;
    const protocol = (rows[row + META] >>> 16) & 0xff;
    if (protocol === PROTO_TCP) {
      if (packet.hasTransport) this.#trackTcp(row, direction, packet.tcpFlags);
    } else if (protocol === PROTO_UDP) {
      rows[row + TIMEOUT] = this.#timeouts.udp[UDP_NORMAL];
      if (direction === OUTPUT) this.#assure(row);
    } else if (protocol === PROTO_SCTP && packet.sctpChunk !== NO_CHUNK) {
      this.#trackSctp(row, direction, packet.sctpChunk);
    }
  }

  /**
   * What a packet of a TCP or UDP connection sets the timer to, if it changes nothing else of the connection; else -1.
   * Then {@link track} is to be called.
   */
  timeoutIfUnchanged(row: number, direction: number, tcpFlags: number): number {
    const { rows } = this.table;
    const meta = rows[row + META];
    if (((meta >>> 16) & 0xff) === PROTO_UDP) return this.#timeouts.udp[UDP_NORMAL];
    const noReplies = (rows[row + FLAGS] & NOOUTPUT) !== 0;
    if (noReplies && direction !== INPUT) return -1;
    const state = meta >>> 24;
    const next = nextTcpState(this.tcpTable, noReplies ? INPUT_ONLY : direction, state, tcpFlags);
    return next === state ? this.#timeouts.tcp[next] : -1;
  }

  #trackTcp(row: number, direction: number, tcpFlags: number): void {
    const state = this.table.rows[row + META] >>> 24;
    const next = nextTcpState(this.tcpTable, this.#seenFrom(row, direction), state, tcpFlags);
    if (next !== state || (tcpFlags & SYN) !== 0) {
      const destination = this.destinationOf(row);
      if (destination !== null) {
        countSegment(destination.handshakes, this.table.rows, row, direction, state, next, tcpFlags, this.#tick);
      }
    }
    this.#enter(row, state, next, isActive(next), next === TCP_ESTABLISHED);
    this.table.rows[row + TIMEOUT] = this.#timeouts.tcp[next];
  }

  #trackSctp(row: number, direction: number, chunk: number): void {
    const state = this.table.rows[row + META] >>> 24;
    const next = nextSctpState(this.#seenFrom(row, direction), state, chunk);
    this.#enter(row, state, next, next === SCTP_ESTABLISHED, next === SCTP_ESTABLISHED);
    this.table.rows[row + TIMEOUT] = this.#timeouts.sctp[next];
  }

  /** The direction, with INPUT-ONLY for requests of a connection whose replies do not come by; a reply ends that. */
  #seenFrom(row: number, direction: number): number {
    const { rows } = this.table;
    if ((rows[row + FLAGS] & NOOUTPUT) === 0) return direction;
    if (direction === INPUT) return INPUT_ONLY;
    rows[row + FLAGS] &= ~NOOUTPUT;
    return direction;
  }

  #enter(row: number, state: number, next: number, active: boolean, established: boolean): void {
    if (next === state) return;
    const { rows } = this.table;
    rows[row + META] = (next << 24) | (rows[row + META] & 0xffffff);
    this.setActive(row, active);
    if (established) this.#assure(row);
  }

  /** Lets a connection count as active or inactive. */
  setActive(row: number, active: boolean): void {
    const { rows } = this.table;
    const flags = rows[row + FLAGS];
    if (((flags & INACTIVE) === 0) === active) return;
    rows[row + FLAGS] = flags ^ INACTIVE;
    const destination = this.destinationOf(row);
    if (destination === null) return;
    destination.count(ACTIVE_CONNS, active ? 1 : -1);
    destination.count(INACTIVE_CONNS, active ? -1 : 1);
  }

  /** Marks the template that a connection hangs on: its client is real. */
  #assure(row: number): void {
    const { rows } = this.table;
    const template = rows[row + CONTROL];
    if (template !== 0 && (rows[template + FLAGS] & TEMPLATE) !== 0) {
      rows[template + META] |= TEMPLATE_ASSURED << 24;
    }
  }

  /** Starts the timer again with the connection's full timeout, as every packet does at its end. */
  restart(row: number, tick: number): void {
    const { rows } = this.table;
    const expires = (tick + rows[row + TIMEOUT]) | 0;
    const nearer = ((expires - rows[row + EXPIRES]) | 0) < 0;
    rows[row + EXPIRES] = expires;
    if (nearer && (rows[row + FLAGS] & ONE_PACKET) === 0) this.#wheel.file(row);
  }

  /** Gives a connection another server address than its destination's. */
  moveServer(row: number, words: Words, at: number): void {
    const { rows, width, daddr } = this.table;
    for (let i = 0; i < width; i++) rows[row + daddr + i] = words[at + i];
    rows[row + FLAGS] |= ELSEWHERE;
  }

  /** Lets a TCP connection wait for its first packet. */
  listen(row: number, tick: number): void {
    const { rows } = this.table;
    rows[row + META] = (TCP_LISTEN << 24) | (rows[row + META] & 0xffffff);
    rows[row + TIMEOUT] = this.#timeouts.tcp[TCP_LISTEN];
    this.restart(row, tick);
  }

  /** Counts a packet of the client's. */
  countPacket(row: number): number {
    return ++this.table.rows[row + IN_PKTS];
  }

  /** The packet is done: a connection for one packet ends, the timer of any other starts again. */
  finish(row: number, tick: number): void {
    if ((this.table.rows[row + FLAGS] & ONE_PACKET) !== 0) this.destroy(row);
    else this.restart(row, tick);
  }

  /** Counts a handshake that was never completed, now that its connection's time is over. */
  #noteExpiry(row: number): void {
    const { rows } = this.table;
    const meta = rows[row + META];
    if (((meta >>> 16) & 0xff) !== PROTO_TCP || !isOpening(meta >>> 24)) return;
    if ((rows[row + FLAGS] & (TEMPLATE | SYN_ANSWERED)) !== 0) return;
    const destination = this.destinationOf(row);
    if (destination !== null) destination.handshakes[EXPIRED]++;
  }

  #expire(row: number, tick: number): void {
    const { rows } = this.table;
    if (rows[row + N_CONTROL] !== 0) {
      rows[row + TIMEOUT] = HELD_TICKS;
      rows[row + EXPIRES] = (tick + HELD_TICKS) | 0;
      this.#wheel.insert(row);
      this.#observer.held(this, row, tick);
      return;
    }
    this.destroy(row);
  }

  /** Ends a connection now. It must have no others hanging on it. */
  destroy(row: number): void {
    const { table } = this;
    const { rows } = table;
    this.#wheel.remove(row);
    table.unhash(row);
    // Told when it cannot be found any more: whoever is told may list the connections, which ends what is over.
    this.#observer.expired(this, row);
    const template = rows[row + CONTROL];
    if (template !== 0) rows[template + N_CONTROL]--;
    if ((rows[row + FLAGS] & HAS_MORE) !== 0) {
      this.#applications.delete(row);
      this.engines.remove(row);
    }
    this.#unbind(row);
    table.release(row);
  }

  /**
   * Lets a connection's time be over: it ends with the next tick ({@link settle}), unless a packet finds it before that.
   * Until then it counts, and a new connection of the same client stands before it (kernel behaviour:
   * ip_vs_conn_expire_now only moves the timer).
   */
  expireNow(row: number, tick: number): void {
    this.table.rows[row + EXPIRES] = tick;
    this.#ending.push(row);
  }

  /** Ends the connections whose time was said to be over before this tick. */
  settle(tick: number): void {
    this.#tick = tick;
    if (this.#ending.length === 0) return;
    const { rows } = this.table;
    // Taken out first: the end of a connection is told of, and whoever is told may ask for this again.
    for (const row of this.#ending.splice(0)) {
      // A row that was freed since, and perhaps used again, is another connection now.
      const isOver = (rows[row + FLAGS] & HASHED) !== 0 && ((rows[row + EXPIRES] - tick) | 0) <= 0;
      if (!isOver) continue;
      if (rows[row + EXPIRES] === tick) this.#ending.push(row);
      else {
        this.#wheel.remove(row);
        this.#expire(row, tick);
      }
    }
  }

  /** Runs the timers up to `tick`, looking at no more than `budget` rows; false when there is more to do. */
  advance(tick: number, budget: number): boolean {
    this.settle(tick);
    return this.#wheel.advance(tick, budget);
  }

  /** A connection made before its client's port was known gets it from the first packet. */
  fillClientPort(row: number, clientPort: number): void {
    const { table } = this;
    const { rows } = table;
    table.unhash(row);
    rows[row + FLAGS] &= ~NO_CPORT;
    rows[row + PORTS] = (clientPort << 16) | (rows[row + PORTS] & 0xffff);
    table.hash(row);
  }

  /**
   * Puts a template out of reach of look-ups and leaves it to its timer: its destination is gone or quiescent.
   */
  invalidateTemplate(row: number): void {
    const { table } = this;
    const { rows } = table;
    if ((rows[row + PORTS] & 0xffff) === 0xffff) return;
    table.unhash(row);
    rows[row + PORTS] = 0xffff;
    rows[row + META] |= 0xffff;
    table.hash(row);
    if ((rows[row + FLAGS] & ENGINE) !== 0) this.engines.hide(row);
  }
}

function totalConns(destination: Destination): number {
  return destination.activeConns + destination.inactConns;
}

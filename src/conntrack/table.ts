/**
 * The connection table: rows in one Int32Array, found through a chained hash table of row indices.
 *
 * Both directions are looked up by the client's end (address, port, protocol), as the kernel does: a request's source is
 * a reply's destination, so one hash table serves both and a connection takes one row and one bucket entry. The newest
 * connection of a bucket is found first.
 */
import { sameAddress, type Words } from '../address.ts';
import * as method from './forward-method.ts';
import * as layout from './layout.ts';
import type { SharedLimit } from './shared-limit.ts';

// Numbers of other modules are read from there at every use; those of this one become part of the machine code.
const { MASQ } = method;
const { CADDR, DADDR4, VADDR4, ENGINE, FLAGS, FWD_MASK, HASHED, META, NEXT, NO_CPORT, PORTS, strideOf, TEMPLATE } =
  layout;
const { imul } = Math;

/** Gives so many bytes, all 0. */
export type TableMemory = (bytes: number) => ArrayBuffer;

export class ConnectionTable {
  /** Words of an address: 1 for IPv4, 4 for IPv6. */
  readonly width: number;
  /** All rows; see layout.ts. */
  readonly rows: Int32Array;
  /** Words from one row to the next. */
  readonly stride: number;
  /** Offsets of the virtual and the server's address in a row. */
  readonly vaddr: number;
  readonly daddr: number;
  /** How many rows may be in use. */
  readonly capacity: number;
  /** How many rows are in use. */
  size = 0;
  /** What there may be in all, where several tables share one capacity. */
  limit: SharedLimit | null = null;
  /** How many connections with an unknown client port there are: only then is the second lookup worth making. */
  withoutClientPort = 0;
  /** How often a row was made to be found, or not to be found any more: whoever remembers what was found compares them. */
  changes = 0;

  /** First row of each bucket. At least as many buckets as rows, so chains stay short. */
  readonly #heads: Int32Array;
  readonly #mask: number;
  readonly #seed: number;
  #free = 0;
  /** Rows beyond this one were never used; their memory has not been touched, so the system has not given it yet. */
  #fresh: number;

  /**
   * @param width words of an address.
   * @param capacity how many connections there may be.
   * @param seed makes the hash unpredictable to those who choose addresses and ports.
   * @param memory gives so many bytes, all 0.
   */
  constructor(width: number, capacity: number, seed: number, memory: TableMemory = (bytes) => new ArrayBuffer(bytes)) {
    this.width = width;
    this.stride = strideOf(width);
    this.capacity = capacity;
    this.vaddr = CADDR + width;
    this.daddr = CADDR + 2 * width;
    this.rows = new Int32Array(memory((capacity + 1) * this.stride * Int32Array.BYTES_PER_ELEMENT));
    let buckets = 1024;
    while (buckets < capacity) buckets *= 2;
    this.#heads = new Int32Array(memory(buckets * Int32Array.BYTES_PER_ELEMENT));
    this.#mask = buckets - 1;
    this.#seed = seed | 0;
    this.#fresh = this.stride;
  }

  #bucket(protocol: number, words: Words, clientAt: number, clientPort: number): number {
    let h = this.#seed;
    for (let i = 0; i < this.width; i++) {
      h = Math.imul(h ^ words[clientAt + i], 0x9e3779b1);
      h ^= h >>> 15;
    }
    h = Math.imul(h ^ ((protocol << 16) | clientPort), 0x85ebca6b);
    h ^= h >>> 13;
    h = Math.imul(h, 0xc2b2ae35);
    return (h ^ (h >>> 16)) & this.#mask;
  }

  /**
   * The connection of a packet from a client, or 0. The client's address is at `words[clientAt]`, the one it talks to at
   * `words[virtualAt]`.
   */
  lookupIn(
    protocol: number,
    words: Words,
    clientAt: number,
    clientPort: number,
    virtualAt: number,
    virtualPort: number,
  ): number {
    const row = this.#find(protocol, words, clientAt, clientPort, virtualAt, virtualPort);
    if (row !== 0 || this.withoutClientPort === 0) return row;
    return this.#find(protocol, words, clientAt, 0, virtualAt, virtualPort);
  }

  #find(
    protocol: number,
    words: Words,
    clientAt: number,
    clientPort: number,
    virtualAt: number,
    virtualPort: number,
  ): number {
    const { rows, width, vaddr } = this;
    const ports = (clientPort << 16) | virtualPort;
    let row = this.#heads[this.#bucket(protocol, words, clientAt, clientPort)];
    while (row !== 0) {
      if (
        rows[row + PORTS] === ports &&
        ((rows[row + META] >>> 16) & 0xff) === protocol &&
        sameAddress(width, rows, row + CADDR, words, clientAt) &&
        sameAddress(width, rows, row + vaddr, words, virtualAt) &&
        // Port 0 is a client's port not known yet, or a template's: never an ordinary connection's.
        (clientPort === 0) === ((rows[row + FLAGS] & NO_CPORT) !== 0)
      ) {
        return row;
      }
      row = rows[row + NEXT];
    }
    return 0;
  }

  /**
   * The connection of a packet from a server, or 0. Under NAT it comes from the server's own address and port, otherwise
   * from the virtual ones.
   */
  lookupOut(
    protocol: number,
    words: Words,
    clientAt: number,
    clientPort: number,
    serverAt: number,
    serverPort: number,
  ): number {
    const { rows, width } = this;
    let row = this.#heads[this.#bucket(protocol, words, clientAt, clientPort)];
    while (row !== 0) {
      const meta = rows[row + META];
      const ports = rows[row + PORTS];
      if (ports >>> 16 === clientPort && ((meta >>> 16) & 0xff) === protocol) {
        const flags = rows[row + FLAGS];
        const masq = (flags & FWD_MASK) === MASQ;
        const port = (masq ? meta : ports) & 0xffff;
        if (
          port === serverPort &&
          // A template is no connection, though a reply to port 0 looks like one of its own.
          (flags & TEMPLATE) === 0 &&
          sameAddress(width, rows, row + CADDR, words, clientAt) &&
          sameAddress(width, rows, row + (masq ? this.daddr : this.vaddr), words, serverAt)
        ) {
          return row;
        }
      }
      row = rows[row + NEXT];
    }
    return 0;
  }

  /** The bucket that a client's connections are in, for addresses of one word. */
  bucket4(protocol: number, client: number, port: number): number {
    let h = imul(this.#seed ^ client, 0x9e3779b1);
    h ^= h >>> 15;
    h = imul(h ^ ((protocol << 16) | port), 0x85ebca6b);
    h ^= h >>> 13;
    h = imul(h, 0xc2b2ae35);
    return (h ^ (h >>> 16)) & this.#mask;
  }

  /**
   * As {@link lookupIn} with the client's port, for addresses of one word and ports as they stand in a packet.
   * @param first what {@link first4} says.
   */
  findRequest4(first: number, protocol: number, client: number, virtual: number, ports: number): number {
    const { rows } = this;
    let row = first;
    while (row !== 0) {
      if (
        rows[row + PORTS] === ports &&
        rows[row + CADDR] === client &&
        rows[row + VADDR4] === virtual &&
        ((rows[row + META] >>> 16) & 0xff) === protocol &&
        (ports >>> 16 === 0) === ((rows[row + FLAGS] & NO_CPORT) !== 0)
      ) {
        return row;
      }
      row = rows[row + NEXT];
    }
    return 0;
  }

  /** Whether a connection, or a template, has this client; for addresses of one word. */
  hasClient4(protocol: number, client: number, port: number): boolean {
    const { rows } = this;
    let row = this.first4(protocol, client, port);
    while (row !== 0) {
      const isTheirs = rows[row + CADDR] === client && rows[row + PORTS] >>> 16 === port;
      if (isTheirs && ((rows[row + META] >>> 16) & 0xff) === protocol) return true;
      row = rows[row + NEXT];
    }
    return false;
  }

  /**
   * Puts the first row of each of `count` buckets, or 0, in the bucket's place, and reads those rows. A row takes the time of
   * two reads from memory that depend on each other; in loops as short as these the processor has many of them under way at
   * once.
   */
  firstRows(buckets: Int32Array, count: number): void {
    const heads = this.#heads;
    const { rows } = this;
    for (let i = 0; i < count; i++) buckets[i] = heads[buckets[i]];
    let read = 0;
    for (let i = 0; i < count; i++) read |= rows[buckets[i]];
    this.wasRead = read;
  }

  /** Of no meaning, but that what {@link firstRows} reads is used for something. */
  wasRead = 0;

  /** The first row of the bucket that a client's connections are in, or 0; for addresses of one word. */
  first4(protocol: number, client: number, port: number): number {
    return this.#heads[this.bucket4(protocol, client, port)];
  }

  /**
   * As {@link lookupOut}, for addresses of one word and ports as they stand in a packet.
   * @param first what {@link first4} says.
   */
  findReply4(first: number, protocol: number, client: number, server: number, ports: number): number {
    const { rows } = this;
    const clientPort = ports & 0xffff;
    const serverPort = ports >>> 16;
    let row = first;
    while (row !== 0) {
      const its = rows[row + PORTS];
      if (rows[row + CADDR] === client && its >>> 16 === clientPort) {
        const meta = rows[row + META];
        const flags = rows[row + FLAGS];
        const masq = (flags & FWD_MASK) === MASQ;
        if (
          ((meta >>> 16) & 0xff) === protocol &&
          ((masq ? meta : its) & 0xffff) === serverPort &&
          rows[row + (masq ? DADDR4 : VADDR4)] === server &&
          (flags & TEMPLATE) === 0
        ) {
          return row;
        }
      }
      row = rows[row + NEXT];
    }
    return 0;
  }

  /** The template of a client (or of its network) for what it talks to, or 0. */
  lookupTemplate(protocol: number, words: Words, clientAt: number, virtualAt: number, virtualPort: number): number {
    const { rows, width, vaddr } = this;
    let row = this.#heads[this.#bucket(protocol, words, clientAt, 0)];
    while (row !== 0) {
      if (
        rows[row + PORTS] === virtualPort &&
        (rows[row + FLAGS] & (TEMPLATE | ENGINE)) === TEMPLATE &&
        ((rows[row + META] >>> 16) & 0xff) === protocol &&
        sameAddress(width, rows, row + CADDR, words, clientAt) &&
        sameAddress(width, rows, row + vaddr, words, virtualAt)
      ) {
        return row;
      }
      row = rows[row + NEXT];
    }
    return 0;
  }

  /** An unused row with all words 0, or 0 when the table is full. Not found by look-ups before {@link hash}. */
  allocate(): number {
    if (this.limit !== null && !this.limit.take()) return 0;
    let row = this.#free;
    if (row !== 0) {
      this.#free = this.rows[row + NEXT];
      this.rows.fill(0, row, row + this.stride);
    } else {
      if (this.size === this.capacity) return 0;
      row = this.#fresh;
      this.#fresh += this.stride;
    }
    this.size++;
    return row;
  }

  /** Gives a row back. It must not be in the hash table. */
  release(row: number): void {
    this.rows[row + NEXT] = this.#free;
    this.rows[row + FLAGS] = 0;
    this.#free = row;
    this.size--;
    this.limit?.give();
  }

  /** Makes the row be found, by its client's address and port and its protocol. */
  hash(row: number): void {
    const { rows } = this;
    const bucket = this.#bucketOfRow(row);
    rows[row + NEXT] = this.#heads[bucket];
    this.#heads[bucket] = row;
    this.changes = (this.changes + 1) | 0;
    rows[row + FLAGS] |= HASHED;
    if ((rows[row + FLAGS] & NO_CPORT) !== 0) this.withoutClientPort++;
  }

  /** Makes the row not be found any more; nothing happens when it was not. */
  unhash(row: number): void {
    const { rows } = this;
    if ((rows[row + FLAGS] & HASHED) === 0) return;
    const bucket = this.#bucketOfRow(row);
    const next = rows[row + NEXT];
    let previous = this.#heads[bucket];
    if (previous === row) this.#heads[bucket] = next;
    else {
      while (rows[previous + NEXT] !== row) previous = rows[previous + NEXT];
      rows[previous + NEXT] = next;
    }
    this.changes = (this.changes + 1) | 0;
    rows[row + FLAGS] &= ~HASHED;
    if ((rows[row + FLAGS] & NO_CPORT) !== 0) this.withoutClientPort--;
  }

  /** How many more rows may be used. */
  get free(): number {
    return this.limit?.free ?? this.capacity - this.size;
  }

  /** How many hash buckets there are. */
  get buckets(): number {
    return this.#heads.length;
  }

  /** The rows of one hash bucket. */
  bucketRows(bucket: number): number[] {
    const found: number[] = [];
    for (let row = this.#heads[bucket]; row !== 0; row = this.rows[row + NEXT]) found.push(row);
    return found;
  }

  #bucketOfRow(row: number): number {
    const { rows } = this;
    // Not found by address: any bucket will do, and one client's are better not in the same.
    if ((rows[row + FLAGS] & ENGINE) !== 0) return (Math.imul(row, 0x9e3779b1) >>> 8) & this.#mask;
    return this.#bucket((rows[row + META] >>> 16) & 0xff, rows, row + CADDR, rows[row + PORTS] >>> 16);
  }

  /**
   * Looks at `count` rows from one on (0: from the first) and calls `visit` with those that can be found.
   * @returns where to go on, or 0 at the end.
   */
  visit(from: number, count: number, visit: (row: number) => void): number {
    const start = from === 0 ? this.stride : from;
    const end = Math.min(this.#fresh, start + count * this.stride);
    for (let row = start; row < end; row += this.stride) {
      if ((this.rows[row + FLAGS] & HASHED) !== 0) visit(row);
    }
    return end < this.#fresh ? end : 0;
  }

  /** Calls `visit` with every row that can be found. It may remove the row it is called with. */
  forEach(visit: (row: number) => void): void {
    for (let row = this.stride; row < this.#fresh; row += this.stride) {
      if ((this.rows[row + FLAGS] & HASHED) !== 0) visit(row);
    }
  }
}

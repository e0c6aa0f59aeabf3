/** A connection as it travels between directors. */
import type { Family, Words } from '../address.ts';

/** Where the three addresses begin in {@link SyncConnection.address}: four words each, IPv4 uses the first. */
export const CLIENT = 0;
export const VIRTUAL = 4;
export const SERVER = 8;

/** Words of {@link SyncConnection.sequences}: initial number, delta and previous delta of the client's and the server's side. */
export const SEQUENCE_WORDS = 6;

/**
 * What a sync message says of one connection or template. One object is reused for every connection of a message, in
 * both directions; all its fields keep their types from birth.
 */
export class SyncConnection {
  family: Family = 4;
  /** IP protocol number; 0 for templates of firewall-mark services. */
  protocol = 0;
  /** Connection flags, with the kernel's numbers (see conntrack/layout.ts). */
  flags = 0;
  state = 0;
  clientPort = 0;
  virtualPort = 0;
  serverPort = 0;
  /** Firewall mark of the packet that made it. Version 0 does not carry it. */
  mark = 0;
  /** Seconds that every packet sets its timer to; 0 when the message does not say. Version 0 does not carry it. */
  timeout = 0;
  /** The client's, the virtual and the server's address, in host order. */
  readonly address: Words = new Int32Array(12);
  /** Whether {@link sequences} says something: only where an application helper changed the length of what is sent. */
  hasSequences = false;
  readonly sequences: Int32Array = new Int32Array(SEQUENCE_WORDS);
  /** Name of the persistence engine, or empty. */
  engine = '';
  /** What the engine tells clients apart by, as bytes (one char each); at most 255. Empty without an engine. */
  engineData = '';
}

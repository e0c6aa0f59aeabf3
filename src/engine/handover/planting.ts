/**
 * Taking over connections from a predecessor: every row is checked as if a stranger had written it, since a file may be
 * anything, and made to count as if it had been made here.
 */
import type { Connections } from '../../conntrack/connections.ts';
import type { EngineIdentity } from '../../conntrack/engine-templates.ts';
import { BYPASS } from '../../conntrack/forward-method.ts';
import {
  CADDR,
  CONTROL,
  DEST,
  ELSEWHERE,
  ENGINE,
  EXPIRES,
  FLAGS,
  FWD_MASK,
  HASHED,
  HELPED,
  IN_PKTS,
  INACTIVE,
  META,
  N_CONTROL,
  NEXT,
  NO_CPORT,
  NO_DESTINATION,
  NOOUTPUT,
  PORTS,
  SEQ_MASK,
  SYN_ANSWERED,
  SYNCED,
  TEMPLATE,
  TIMEOUT,
  TRACKED,
} from '../../conntrack/layout.ts';
import { stateCount } from '../../conntrack/protocols.ts';
import { keyOf, plant } from '../../conntrack/transplant.ts';
import type { Destination } from '../../services/destination.ts';
import { seconds } from '../../ticks.ts';
import type { Parts } from '../parts.ts';
import { destinationKey, hasIdentity, type RowsDescription, unpackRows } from './rows.ts';

/** What became of the connections and templates of a handover. */
export interface PlantedCounts {
  /** Those that go on here. */
  readonly connections: number;
  /** Those whose time was over meanwhile. */
  readonly expired: number;
  /** Those whose server is no server here any more. */
  readonly withoutServer: number;
  /** Those for which the table has no room. */
  readonly beyondTable: number;
  /** Those that cannot be, or are here already. */
  readonly refused: number;
}

const KEPT_FLAGS =
  FWD_MASK |
  SYNCED |
  HASHED |
  NOOUTPUT |
  INACTIVE |
  SEQ_MASK |
  NO_CPORT |
  TEMPLATE |
  TRACKED |
  ENGINE |
  ELSEWHERE |
  SYN_ANSWERED;
/** The longest that a timer runs. */
const LONGEST_TICKS = seconds(31 * 86_400);
const MAX_TEMPLATE_STATE = 255;
/** Modes of the FTP helper; see apps/ftp-text.ts. */
const MAX_MODE = 3;

interface Waiting {
  readonly connections: Connections;
  readonly row: number;
  readonly control: string;
}

export class Planting {
  readonly #parts: Parts;
  readonly #isOwn: (words: Int32Array, at: number, width: number) => boolean;
  readonly #destinations = new Map<string, Destination>();
  /** Rows on which others hang, by where they were. */
  readonly #controlling = new Map<string, number>();
  readonly #waiting: Waiting[] = [];
  readonly #counts = { connections: 0, expired: 0, withoutServer: 0, beyondTable: 0, refused: 0 };

  /** @param isOwn whether a client, whose address it is given, is this thread's. */
  constructor(parts: Parts, isOwn: (words: Int32Array, at: number, width: number) => boolean) {
    this.#parts = parts;
    this.#isOwn = isOwn;
    for (const { destinations } of parts.registry.services()) {
      for (const one of destinations) this.#destinations.set(destinationKey(one), one);
    }
  }

  /**
   * Takes the connections of one block.
   * @param passedTicks how long ago it was written.
   * @throws DirectorError ERR_HANDOVER for a block that cannot be read.
   */
  take(payload: Uint8Array, passedTicks: number): void {
    const { connections4, connections6 } = this.#parts;
    const unpacked = unpackRows(payload, (family) => (family === 4 ? connections4 : connections6));
    const { description, records, connections } = unpacked;
    const identities = new Map(description.identities.map(([place, engine, data]) => [place, { engine, data }]));
    const applications = new Map(description.applications.map((one) => [one[0], one]));
    const { stride, width } = connections.table;
    for (let place = 0; place * stride < records.length; place++) {
      const at = place * stride;
      if (!this.#isOwn(records, at + CADDR, width)) continue;
      const identity = identities.get(place) ?? null;
      const result = this.#plant(connections, description, records, at, identity, passedTicks);
      if (typeof result === 'string') {
        this.#counts[result]++;
        continue;
      }
      this.#counts.connections++;
      const application = applications.get(place);
      if (application !== undefined) restoreApplication(connections, result, application);
    }
  }

  #plant(
    connections: Connections,
    { thread, family, destinations }: RowsDescription,
    records: Int32Array,
    at: number,
    identity: EngineIdentity | null,
    passedTicks: number,
  ): number | 'refused' | 'expired' | 'withoutServer' | 'beyondTable' {
    records[at + FLAGS] &= KEPT_FLAGS;
    records[at + FLAGS] |= HASHED;
    if (!canBe(records, at) || hasIdentity(records[at + FLAGS]) !== (identity !== null)) return 'refused';
    if (identity !== null && this.#parts.known.engine(identity.engine) === undefined) return 'refused';
    const left = records[at + EXPIRES] - passedTicks;
    if (left <= 0) return 'expired';
    const named = records[at + DEST];
    const destination = named === NO_DESTINATION ? null : this.#destinations.get(destinations[named] ?? '');
    if (destination === undefined) return 'withoutServer';
    const flags = records[at + FLAGS];
    if (destination === null && (flags & SYNCED) === 0 && (flags & FWD_MASK) !== BYPASS) return 'refused';
    if (destination !== null) this.#address(connections, destination, records, at);
    else records[at + DEST] = NO_DESTINATION;
    if (isThere(connections, records, at, identity)) return 'refused';

    const tick = this.#parts.time.tick();
    const row = plant(connections, records, at, (tick + left) | 0, identity);
    if (row === 0) return 'beyondTable';
    connections.begin(row);
    const name = (place: number) => `${thread} ${family} ${place}`;
    if (records[at + N_CONTROL] !== 0) this.#controlling.set(name(records[at + NEXT]), row);
    if (records[at + CONTROL] !== 0) this.#waiting.push({ connections, row, control: name(records[at + CONTROL]) });
    return row;
  }

  /** Names the destination as it is known here. Its address is what counts, unless the connection goes elsewhere. */
  #address({ table }: Connections, { id, words }: Destination, records: Int32Array, at: number): void {
    records[at + DEST] = id;
    if ((records[at + FLAGS] & ELSEWHERE) !== 0) return;
    for (let i = 0; i < table.width; i++) records[at + table.daddr + i] = words[i];
  }

  /** Hangs connections on what they hung on, now that all are here. */
  end(): PlantedCounts {
    for (const { connections, row, control } of this.#waiting) {
      const controlling = this.#controlling.get(control);
      if (controlling !== undefined && mayHang(connections.table.rows, row, controlling)) {
        connections.control(row, controlling);
      }
    }
    return { ...this.#counts };
  }
}

/** Whether there can be such a connection: a wrong one would never be found, or break what relies on it. */
function canBe(records: Int32Array, at: number): boolean {
  const flags = records[at + FLAGS];
  const meta = records[at + META];
  const isTemplate = (flags & TEMPLATE) !== 0;
  const states = stateCount((meta >>> 16) & 0xff);
  const isOfProtocol = isTemplate ? meta >>> 24 <= MAX_TEMPLATE_STATE : meta >>> 24 < states;
  const hasNoPort = isTemplate || (flags & NO_CPORT) !== 0;
  const inTime = (ticks: number) => ticks > 0 && ticks <= LONGEST_TICKS;
  return (
    isOfProtocol &&
    (flags & FWD_MASK) <= BYPASS &&
    ((flags & ENGINE) === 0 || isTemplate) &&
    !(isTemplate && (flags & NO_CPORT) !== 0) &&
    (records[at + PORTS] >>> 16 === 0) === hasNoPort &&
    inTime(records[at + TIMEOUT]) &&
    inTime(records[at + EXPIRES]) &&
    records[at + IN_PKTS] >= 0
  );
}

/** Whether there is a connection with the same ends: of two the one that is here counts. */
function isThere(
  { table, engines }: Connections,
  records: Int32Array,
  at: number,
  identity: EngineIdentity | null,
): boolean {
  const protocol = (records[at + META] >>> 16) & 0xff;
  const ports = records[at + PORTS];
  const virtual = at + table.vaddr;
  if (identity !== null) {
    return engines.find(protocol, keyOf(records, at + CADDR, virtual, table.width), ports & 0xffff, identity) !== 0;
  }
  if ((records[at + FLAGS] & TEMPLATE) !== 0) {
    return table.lookupTemplate(protocol, records, at + CADDR, virtual, ports & 0xffff) !== 0;
  }
  const found = table.lookupIn(protocol, records, at + CADDR, ports >>> 16, virtual, ports & 0xffff);
  return found !== 0 && table.rows[found + PORTS] === ports;
}

/** Templates hang on nothing, FTP's control connections on templates, all others on either: so there is never a circle. */
function mayHang(rows: Int32Array, row: number, controlling: number): boolean {
  const flags = rows[row + FLAGS];
  const above = rows[controlling + FLAGS];
  if (row === controlling || (flags & TEMPLATE) !== 0) return false;
  return (above & TEMPLATE) !== 0 || ((above & HELPED) !== 0 && (flags & HELPED) === 0);
}

function restoreApplication(connections: Connections, row: number, [, mode, ...numbers]: readonly number[]): void {
  if ((connections.table.rows[row + FLAGS] & HELPED) === 0 || mode < 0 || mode > MAX_MODE) return;
  const state = connections.makeApplication(row);
  state.mode = mode;
  for (const [i, shift] of [state.fromClient, state.fromServer].entries()) {
    shift.changedAt = numbers[3 * i] >>> 0;
    shift.delta = numbers[3 * i + 1] | 0;
    shift.previousDelta = numbers[3 * i + 2] | 0;
  }
}

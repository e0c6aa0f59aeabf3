/** Firewall marks: rules that give packets the mark by which a firewall-mark service knows them. */
import { type Family, inPrefix, type Prefix, parsePrefix } from '../address.ts';
import { invalidOption } from '../errors.ts';
import { DST, type Packet, SRC } from '../packet/dissect.ts';
import { choice, integer, optionsOf, PROTOCOLS } from './settings.ts';

/** Which packets carry a mark: everything given must fit. */
export interface MarkRule {
  readonly protocol?: 'tcp' | 'udp' | 'sctp';
  /** Source address or network. */
  readonly source?: string;
  /** Destination address or network. */
  readonly destination?: string;
  /** Source port, or first and last of a range. */
  readonly sourcePort?: number | readonly [number, number];
  /** Destination port, or first and last of a range. */
  readonly destinationPort?: number | readonly [number, number];
  /** 0 .. 4294967295; the last rule that fits decides. */
  readonly mark: number;
  /**
   * Whether such packets are taken as the director's own wherever they are going, so that a firewall-mark service can
   * balance what is for others: a transparent cache, say. On Linux a policy route to `local` does this. Default false.
   */
  readonly local?: boolean;
}

interface Rule {
  readonly family: Family | 0;
  readonly protocol: number;
  readonly source: Prefix | null;
  readonly destination: Prefix | null;
  readonly sourcePorts: readonly [number, number];
  readonly destinationPorts: readonly [number, number];
  readonly mark: number;
  readonly local: boolean;
}

const RULE_OPTIONS = ['protocol', 'source', 'destination', 'sourcePort', 'destinationPort', 'mark', 'local'];
const ALL_PORTS: readonly [number, number] = [0, 65535];

function isPort(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 65535;
}

function ports(option: string, given: MarkRule['sourcePort']): readonly [number, number] {
  if (given === undefined) return ALL_PORTS;
  const range: unknown = typeof given === 'number' ? [given, given] : given;
  if (!Array.isArray(range) || range.length !== 2 || !range.every(isPort) || range[1] < range[0]) {
    throw invalidOption(option, given, 'a port from 0 to 65535, or the first and last of a range');
  }
  return [range[0], range[1]];
}

/** The rules that give packets firewall marks: `director.marks.add({ ... })`. */
export interface Marks {
  /** Adds a rule behind those there are. @throws DirectorError ERR_INVALID_OPTION */
  add(rule: MarkRule): void;
  /** Removes all rules. */
  clear(): void;
}

/** Rules that give packets marks, applied. */
export class FirewallMarks implements Marks {
  readonly #rules: Rule[] = [];
  /** Whether any rule is `local`: only then are packets for others worth a look. */
  takesAny = false;

  add(rule: MarkRule): void {
    optionsOf('rule', rule, RULE_OPTIONS);
    const source = rule.source === undefined ? null : parsePrefix(rule.source, 'source');
    const destination = rule.destination === undefined ? null : parsePrefix(rule.destination, 'destination');
    if (source !== null && destination !== null && source.family !== destination.family) {
      throw invalidOption('destination', rule.destination, 'of the same family as source');
    }
    if (rule.mark === undefined) throw invalidOption('mark', rule.mark, 'an integer from 0 to 4294967295');
    const local = rule.local ?? false;
    if (typeof local !== 'boolean') throw invalidOption('local', local, 'a boolean');
    this.#rules.push({
      family: (source ?? destination)?.family ?? 0,
      protocol: choice('protocol', rule.protocol, PROTOCOLS, 0),
      source,
      destination,
      sourcePorts: ports('sourcePort', rule.sourcePort),
      destinationPorts: ports('destinationPort', rule.destinationPort),
      mark: integer('mark', rule.mark, 0, 2 ** 32 - 1, 0) | 0,
      local,
    });
    this.takesAny ||= local;
  }

  clear(): void {
    this.#rules.length = 0;
    this.takesAny = false;
  }

  /** Takes over the rules of another. */
  mimic(other: FirewallMarks): void {
    this.#rules.splice(0, this.#rules.length, ...other.#rules);
    this.takesAny = other.takesAny;
  }

  /** The mark that a packet carries; 0 for none. */
  of(packet: Packet): number {
    return this.#ruleFor(packet)?.mark ?? 0;
  }

  /** Whether a packet for another host is taken as the director's own. */
  takes(packet: Packet): boolean {
    return this.takesAny && this.#ruleFor(packet)?.local === true;
  }

  #ruleFor(packet: Packet): Rule | null {
    for (let i = this.#rules.length - 1; i >= 0; i--) if (fits(this.#rules[i], packet)) return this.#rules[i];
    return null;
  }
}

function fits(rule: Rule, packet: Packet): boolean {
  if (rule.family !== 0 && rule.family !== packet.family) return false;
  if (rule.protocol !== 0 && rule.protocol !== packet.protocol) return false;
  if (rule.source !== null && !inPrefix(rule.source, packet.address, SRC)) return false;
  if (rule.destination !== null && !inPrefix(rule.destination, packet.address, DST)) return false;
  if (rule.sourcePorts !== ALL_PORTS || rule.destinationPorts !== ALL_PORTS) {
    if (!packet.hasPorts) return false;
    if (packet.sourcePort < rule.sourcePorts[0] || packet.sourcePort > rule.sourcePorts[1]) return false;
    if (packet.destinationPort < rule.destinationPorts[0] || packet.destinationPort > rule.destinationPorts[1])
      return false;
  }
  return true;
}

/** Why a scheduler would choose as it would: what `explain` shows to people who watch, learn or look for a mistake. */
import type { Destination } from '../services/destination.ts';

/** What a scheduler compares of one destination, in words. */
export interface Comparison {
  readonly destination: Destination;
  readonly value: string;
}

/** A scheduler's choice as it would be now, and why. */
export interface Reasoning {
  /** What the scheduler would choose now, null for none; undefined when chance decides. */
  readonly choice: Destination | null | undefined;
  /** The rule, in words, with the numbers that it depends on: a sentence without a full stop. */
  readonly rule: string;
  /** What is compared of each destination, in the order in which the scheduler looks at them. */
  readonly compared: readonly Comparison[];
}

/** Why a destination gets no new connection whatever the scheduler compares, or null when it may. */
export function unfit(destination: Destination): string | null {
  if (destination.weight <= 0) return 'weight 0: it gets no new connections';
  return destination.overloaded ? 'at its upper threshold: it gets no new connections' : null;
}

/** What is compared of each destination that may be chosen, and of the others why not. */
export function compare(
  destinations: readonly Destination[],
  value: (destination: Destination, index: number) => string,
): Comparison[] {
  return destinations.map((destination, index) => ({
    destination,
    value: unfit(destination) ?? value(destination, index),
  }));
}

/** A destination as listings name it, for use inside a rule. */
export function nameOf({ family, address, port }: Destination): string {
  return family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The overhead of `lc` and those after it, worked out in words. */
export function overheadText({ activeConns, inactConns }: Destination): string {
  return `256 × ${activeConns} active + ${inactConns} inactive = ${activeConns * 256 + inactConns}`;
}

/** A load for its weight, worked out in words. */
export function perWeight(load: string, value: number, weight: number): string {
  const quotient = value / weight;
  return `(${load}) / weight ${weight} = ${Number.isInteger(quotient) ? quotient : quotient.toFixed(3)}`;
}

/** Whose bucket of a hashing scheduler's table it is, as the end of a rule; undefined for an empty table. */
export function ownerText(owner: Destination | undefined, fallback: boolean): string {
  if (owner === undefined) return ', and there is no server';
  const text = `, which is ${nameOf(owner)}'s`;
  if (unfit(owner) === null) return text;
  return (
    text +
    (fallback
      ? '; that one may not be chosen, so the search goes on'
      : '; that one may not be chosen, and there is no fallback')
  );
}

/** How many buckets of a hashing scheduler's table a destination has. */
export function countOf(table: readonly Destination[], destination: Destination): number {
  return table.reduce((count, owner) => count + (owner === destination ? 1 : 0), 0);
}

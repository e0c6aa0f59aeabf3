/**
 * The order of ipvsadm's listings. The C program compares by subtracting, and lets the difference wrap at 32 bits: its
 * comparison is no order at all once addresses lie more than half the address space apart (10.x < 100.x < 192.168.x <
 * 10.x). What comes out then depends on how one sorts, so this sorts as the C library does, by merging.
 */
import { tryParseAddress } from '../address.ts';
import type { DestinationEntry, ServiceEntry, ServiceProtocol } from '../services/config.ts';

const PROTOCOL_NUMBERS: Readonly<Record<ServiceProtocol | 'fwm', number>> = { fwm: 0, tcp: 6, udp: 17, sctp: 132 };

/** An item with the numbers that it is compared by, most significant first. */
interface Keyed<T> {
  readonly item: T;
  readonly key: readonly number[];
}

function addressKey(address: string): readonly number[] {
  const parsed = tryParseAddress(address);
  return parsed === undefined ? [0, 0, 0, 0] : [...parsed.words];
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] - b[i]) | 0;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Sorts a copy: halves (the first one smaller) sorted by themselves, then merged, the first half winning ties. */
function mergeSort<T>(items: readonly Keyed<T>[]): readonly Keyed<T>[] {
  if (items.length < 2) return items;
  const middle = items.length >> 1;
  const left = mergeSort(items.slice(0, middle));
  const right = mergeSort(items.slice(middle));
  const merged: Keyed<T>[] = [];
  let i = 0;
  let j = 0;
  while (i < left.length && j < right.length) {
    merged.push(compare(left[i].key, right[j].key) <= 0 ? left[i++] : right[j++]);
  }
  while (i < left.length) merged.push(left[i++]);
  while (j < right.length) merged.push(right[j++]);
  return merged;
}

/** Services by firewall mark, family, protocol, address and port. */
export function sortServices(services: readonly ServiceEntry[]): ServiceEntry[] {
  const keyed = services.map((item) => ({
    item,
    key: [item.fwmark, item.family, PROTOCOL_NUMBERS[item.protocol], ...addressKey(item.address), item.port],
  }));
  return mergeSort(keyed).map(({ item }) => item);
}

/** Destinations by address and port; an IPv4 address counts as the first word of an IPv6 one. */
export function sortDestinations(destinations: readonly DestinationEntry[]): DestinationEntry[] {
  const keyed = destinations.map((item) => ({ item, key: [...addressKey(item.address), item.port] }));
  return mergeSort(keyed).map(({ item }) => item);
}

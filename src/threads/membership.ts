/** Rings and ports between the threads of a director, laid once and given to each from its side. */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Team } from '../engine/team.ts';
import { FrameRing } from '../packet/frame-ring.ts';
import type { Membership } from './messages.ts';

/** Room of a ring between two threads: sixteen of the largest frames, or ten thousand small ones. */
const RING_BYTES = 2 ** 20;

/** @returns for each thread what it is given; null for one that is alone. */
export function memberships(threads: number, devices: number): (Membership | null)[] {
  if (threads === 1) return [null];
  const team = Team.plan(threads);
  const square = <T>(make: () => T): (T | null)[][] =>
    Array.from({ length: threads }, (_, i) => Array.from({ length: threads }, (_, k) => (i === k ? null : make())));
  const rings = Array.from({ length: devices }, () => square(() => FrameRing.of(RING_BYTES).memory));
  const ports = square<MessagePort | null>(() => null);
  for (let i = 0; i < threads; i++) {
    for (let k = 0; k < i; k++) {
      const { port1, port2 } = new MessageChannel();
      ports[i][k] = port1;
      ports[k][i] = port2;
    }
  }
  return Array.from({ length: threads }, (_, index) => ({
    team,
    index,
    rings: rings.map((lines) => ({ to: lines[index], from: lines.map((line) => line[index]) })),
    ports: ports[index],
  }));
}

/** All rings between the threads. */
export function ringsOf(members: readonly (Membership | null)[]): FrameRing[] {
  const memories = members.flatMap((member) => member?.rings.flatMap(({ to }) => to) ?? []);
  return memories.filter((memory) => memory !== null).map((memory) => FrameRing.at(memory));
}

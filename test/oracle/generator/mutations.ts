/** Makes frames unusual or wrong. */
import { DIP, DIRECTOR_MAC, VIPS } from '../lab-host.ts';
import type { Random, Weighted } from '../random.ts';
import { ETHERNET_HEADER, fixHeaderChecksum, macBytes } from './frames.ts';
import type { Model } from './model.ts';

const IP = ETHERNET_HEADER;
const TOTAL_LENGTH = IP + 2;
const TTL = IP + 8;
const SOURCE = IP + 12;
const DESTINATION = IP + 16;

type Mutation = (random: Random, frame: Uint8Array, device: string) => Uint8Array;

const address = (text: string) => text.split('.').map(Number);
const MARTIANS = ['127.0.0.1', '0.0.0.0', '255.255.255.255', '224.0.0.1', '240.0.0.1', DIP, ...VIPS].map(address);
const PLACES = [
  '10.0.0.255',
  '224.0.0.1',
  '255.255.255.255',
  '0.0.0.0',
  '127.0.0.1',
  '240.0.0.1',
  '203.0.113.9',
  '10.0.0.12',
  '172.16.0.12',
  '172.16.0.1',
  DIP,
].map(address);

/** Of IPv4: no operation, end of list, router alert, loose source route, security, and nonsense. */
const OPTIONS: readonly (readonly number[])[] = [
  [1, 1, 1, 1],
  [0, 0, 0, 0],
  [148, 4, 0, 0],
  [131, 7, 4, 192, 0, 2, 77, 0],
  [1, 7, 99, 4],
  [130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];

const ETHERNET: readonly Weighted<Mutation>[] = [
  [
    1,
    (random, frame) =>
      withDestination(frame, random.pick(['ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01', '02:00:00:00:99:99'])),
  ],
  [2, (random, frame) => Uint8Array.of(...frame, ...random.bytes(random.int(1, 20)))],
  [
    0.5,
    (random, frame) =>
      write(
        frame,
        12,
        random.pick([
          [0x08, 0x01],
          [0x88, 0xb5],
          [0, 46],
          [0x86, 0xdd],
          [0x08, 0],
        ]),
      ),
  ],
];

const CUTS: readonly Weighted<Mutation>[] = [
  [2, (random, frame) => frame.slice(0, random.int(ETHERNET_HEADER, frame.length))],
  [2, (random, frame) => (frame[12] === 0x08 ? lengthened(random, frame) : frame)],
];

const IPV4: readonly Weighted<Mutation>[] = [
  ...ETHERNET,
  [3, (random, frame) => fixed(write(frame, TTL, [random.pick([0, 1, 2, 255])]))],
  [2, (random, frame) => fixed(write(frame, SOURCE, random.pick(MARTIANS)))],
  [2, (random, frame) => fixed(write(frame, DESTINATION, random.pick(PLACES)))],
  [2, (random, frame) => perhapsFixed(random, flipped(random, frame, IP, IP + 20))],
  [3, (random, frame) => flipped(random, frame, Math.min(IP + 20, frame.length - 1), Math.min(frame.length, IP + 40))],
];

const IPV6: readonly Weighted<Mutation>[] = [
  ...ETHERNET,
  [3, (random, frame) => write(frame, IP + 7, [random.pick([0, 1, 2, 255])])],
  [2, (random, frame) => flipped(random, frame, IP, Math.min(frame.length, IP + 8))],
  [3, (random, frame) => flipped(random, frame, Math.min(IP + 40, frame.length - 1), Math.min(frame.length, IP + 60))],
];

/** A frame with something changed. */
export function mutate({ random, features, marks }: Model, frame: Uint8Array, device: string): Uint8Array {
  const is6 = frame[12] === 0x86;
  if (!is6 && features.has('ip-options') && random.chance(0.1)) return withOptions(frame, random.pick(OPTIONS));
  // The firewall that sets marks loses packets whose ports it cannot read.
  const cuts = marks.length === 0 ? CUTS : [];
  return random.weighted([...cuts, ...(is6 ? IPV6 : IPV4)])(random, frame, device);
}

function write(frame: Uint8Array, at: number, bytes: readonly number[]): Uint8Array {
  const changed = frame.slice();
  if (at + bytes.length <= changed.length) changed.set(bytes, at);
  return changed;
}

function withDestination(frame: Uint8Array, mac: string): Uint8Array {
  return write(frame, 0, macBytes(mac));
}

function fixed(frame: Uint8Array): Uint8Array {
  fixHeaderChecksum(frame, IP);
  return frame;
}

function perhapsFixed(random: Random, frame: Uint8Array): Uint8Array {
  return random.chance(0.7) ? fixed(frame) : frame;
}

/** One bit other. */
function flipped(random: Random, frame: Uint8Array, from: number, to: number): Uint8Array {
  const changed = frame.slice();
  if (to > from) changed[random.int(from, to - 1)] ^= 1 << random.int(0, 7);
  return changed;
}

/** Says that it is longer or shorter than it is. */
function lengthened(random: Random, frame: Uint8Array): Uint8Array {
  const length = frame.length - IP + random.pick([-20, -9, -8, -1, 1, 8, 100]);
  return fixed(write(frame, TOTAL_LENGTH, [(length >>> 8) & 0xff, length & 0xff]));
}

function withOptions(frame: Uint8Array, options: readonly number[]): Uint8Array {
  if (frame[IP] !== 0x45) return frame;
  const changed = new Uint8Array(frame.length + options.length);
  changed.set(frame.subarray(0, IP + 20));
  changed.set(options, IP + 20);
  changed.set(frame.subarray(IP + 20), IP + 20 + options.length);
  changed[IP] = 0x45 + options.length / 4;
  const length = changed.length - IP;
  return fixed(write(changed, TOTAL_LENGTH, [length >>> 8, length & 0xff]));
}

/** Whether a frame is addressed to the director's interface. */
export function isForDirector(frame: Uint8Array, device: string): boolean {
  return macBytes(DIRECTOR_MAC[device]).every((byte, i) => frame[i] === byte);
}

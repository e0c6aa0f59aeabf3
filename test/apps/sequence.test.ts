/** Sequence numbers around changed text, against a stream that is written out. */
import test from 'ava';
import fc from 'fast-check';
import { noteChange, shiftSequences } from '../../src/apps/sequence.ts';
import { ApplicationState } from '../../src/conntrack/application.ts';
import { buildPacket } from '../../src/packet/build.ts';
import { fold, pseudoSum4, sumBytes } from '../../src/packet/checksum.ts';
import { dissectIpv4, Packet } from '../../src/packet/dissect.ts';
import * as tcp from '../../src/packet/tcp.ts';
import '../core/lab.ts';

interface Segment {
  readonly seq?: number;
  readonly ack?: number;
  readonly flags?: string;
  readonly options?: readonly number[];
}

interface Shifted {
  readonly seq: number;
  readonly ack: number;
  readonly options: readonly number[];
  readonly kept: boolean;
}

/** A segment after its numbers were shifted; its checksum must still be right. */
function shift(state: ApplicationState, fromServer: boolean, { seq = 0, ack = 0, flags = 'A', options = [] }: Segment) {
  const bytes = buildPacket({
    ip: { source: '192.0.2.1', destination: '10.0.0.100' },
    tcp: {
      sourcePort: 1,
      destinationPort: 2,
      sequence: seq,
      acknowledgement: ack,
      flags,
      options: Uint8Array.from(options),
    },
  });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const packet = new Packet();
  if (!dissectIpv4(packet, view, 0, bytes.length)) throw new Error('a wrong packet');
  const kept = shiftSequences(view, packet, state, fromServer, true);
  const sum = fold(sumBytes(view, 20, bytes.length - 20, pseudoSum4(view, 0, 6, bytes.length - 20)));
  if (sum !== 0xffff) throw new Error('a wrong checksum');
  const length = tcp.headerLength(view, 20);
  return {
    seq: tcp.sequence(view, 20),
    ack: tcp.acknowledgement(view, 20),
    options: [...bytes.subarray(40, 20 + length)],
    kept,
  } satisfies Shifted;
}

function be(...numbers: number[]): number[] {
  return numbers.flatMap((n) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]);
}

/** A state in which the server's segment at 5000 became one byte longer. */
function grown(): ApplicationState {
  const state = new ApplicationState();
  noteChange(state.fromServer, 5000, 1);
  return state;
}

test('the changed segment and those before it keep their numbers, those behind it move', (t) => {
  const state = grown();
  t.is(shift(state, true, { seq: 4999 }).seq, 4999);
  t.is(shift(state, true, { seq: 5000 }).seq, 5000);
  t.is(shift(state, true, { seq: 5044 }).seq, 5045);
});

test('acknowledgements of the other end move back', (t) => {
  const state = grown();
  t.is(shift(state, false, { ack: 5000 }).ack, 5000);
  t.is(shift(state, false, { ack: 5045 }).ack, 5044);
  t.is(shift(state, false, { seq: 7, ack: 5045 }).seq, 7);
});

test('what is no acknowledgement is left alone', (t) => {
  t.is(shift(grown(), false, { ack: 6000, flags: 'S' }).ack, 6000);
});

test('a segment sent again is not counted twice', (t) => {
  const state = grown();
  noteChange(state.fromServer, 5000, 1);
  t.is(shift(state, true, { seq: 5044 }).seq, 5045);
  noteChange(state.fromServer, 5100, -3);
  t.is(shift(state, true, { seq: 5100 }).seq, 5101);
  t.is(shift(state, true, { seq: 5200 }).seq, 5198);
  noteChange(state.fromServer, 5000, 1);
  t.is(shift(state, true, { seq: 5200 }).seq, 5198);
});

test('numbers wrap', (t) => {
  const state = new ApplicationState();
  noteChange(state.fromServer, 0xfffffff0, 20);
  t.is(shift(state, true, { seq: 0xfffffff8 }).seq, 12);
  t.is(shift(state, false, { ack: 12 }).ack, 0xfffffff8);
});

test('selective acknowledgements move too, at even and odd places', (t) => {
  const state = grown();
  const even = shift(state, false, { ack: 5000, options: [1, 1, 5, 10, ...be(5101, 5201)] });
  t.deepEqual(even.options, [1, 1, 5, 10, ...be(5100, 5200)]);
  const odd = shift(state, false, { ack: 5000, options: [1, 5, 10, ...be(5101, 0x01020304), 0] });
  t.deepEqual(odd.options, [1, 5, 10, ...be(5100, 0x01020303), 0]);
  const two = shift(state, false, { ack: 5000, options: [1, 1, 5, 18, ...be(4000, 5000, 5101, 5201)] });
  t.deepEqual(two.options, [1, 1, 5, 18, ...be(4000, 5000, 5100, 5200)]);
  t.deepEqual(shift(state, true, { options: [1, 1, 5, 10, ...be(9, 10)] }).options, [1, 1, 5, 10, ...be(9, 10)]);
});

test('options that cannot be read lose the packet', (t) => {
  const state = grown();
  t.false(shift(state, false, { ack: 1, options: [1, 1, 1, 5] }).kept);
  t.false(shift(state, false, { ack: 1, options: [8, 0, 1, 1] }).kept);
  t.false(shift(state, false, { ack: 1, options: [5, 10, 0, 0] }).kept);
  t.true(shift(state, false, { ack: 1, options: [2, 4, 5, 180] }).kept);
  t.true(shift(state, false, { ack: 1, options: [0, 5, 10, 1] }).kept);
});

test('both ends see a stream without gaps, and acknowledge what was sent', (t) => {
  const segment = fc.record({ length: fc.integer({ min: 24, max: 90 }), change: fc.integer({ min: -11, max: 12 }) });
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1, maxLength: 8 }), fc.nat(0xffffffff), (segments, start) => {
      const state = new ApplicationState();
      let sent = start;
      let seen = start;
      for (const { length, change } of segments) {
        if (change !== 0) noteChange(state.fromServer, sent, change);
        t.is(shift(state, true, { seq: sent }).seq, seen);
        // The client has all of it: what it acknowledges is what the server has sent.
        sent = (sent + length) >>> 0;
        seen = (seen + length + change) >>> 0;
        t.is(shift(state, false, { ack: seen }).ack, sent);
      }
    }),
  );
});

/** The parts that the hosts are made of, each against a plain statement of what it does. */
import test from 'ava';
import fc from 'fast-check';
import { buildPacket } from '../../src/packet/build.ts';
import { ByteQueue } from '../../src/testing/byte-queue.ts';
import { flowOf, moveToFlow, reversed } from '../../src/testing/flow.ts';
import { Packet } from '../../src/testing/packet.ts';
import { EphemeralPorts } from '../../src/testing/ports.ts';
import { Reassembly } from '../../src/testing/reassembly.ts';
import { RoundTripTimer } from '../../src/testing/round-trip-timer.ts';
import { Timer } from '../../src/testing/timer.ts';

test('ByteQueue is a byte string that grows at the end and shrinks at the front', (t) => {
  const step = fc.oneof(
    fc.record({ push: fc.uint8Array({ maxLength: 20 }) }),
    fc.record({ drop: fc.nat(30) }),
    fc.record({ copy: fc.tuple(fc.nat(40), fc.nat(40)) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new ByteQueue();
      let model = Buffer.alloc(0);
      for (const one of steps) {
        if ('push' in one) {
          queue.push(one.push);
          model = Buffer.concat([model, one.push]);
        } else if ('drop' in one) {
          queue.drop(one.drop);
          model = model.subarray(one.drop);
        } else {
          const [offset, count] = one.copy;
          if (!model.subarray(offset, offset + count).equals(queue.copy(offset, count))) return false;
        }
        if (queue.length !== model.length) return false;
      }
      const chunks: Uint8Array[] = [];
      for (let chunk = queue.shift(); chunk !== undefined; chunk = queue.shift()) chunks.push(chunk);
      return Buffer.concat(chunks).equals(model) && queue.length === 0;
    }),
  );
  t.pass();
});

test('Reassembly gives the stream back from any pieces in any order', (t) => {
  const stream = Uint8Array.from({ length: 200 }, (_, i) => i);
  const piece = fc.tuple(fc.nat(199), fc.integer({ min: 1, max: 60 }));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const base = 0xffff_ff80; // across the wrap of what is on the wire
      const reassembly = new Reassembly();
      const covered = new Set<number>();
      let next = 0;
      for (const [start, length] of pieces) {
        const from = Math.max(start, next);
        const part = stream.subarray(from, Math.max(from, start + length));
        for (let i = 0; i < part.length; i++) covered.add(from + i);
        if (part.length > 0) reassembly.add(base + from, part);
        for (let got = reassembly.take(base + next); got !== undefined; got = reassembly.take(base + next)) {
          if (got.some((byte, i) => byte !== next + i)) return false;
          next += got.length;
        }
      }
      let expected = 0;
      while (covered.has(expected)) expected++;
      return next === expected;
    }),
  );
  t.pass();
});

const address = fc.ipV4();
const port = fc.integer({ min: 1, max: 65535 });

test('a packet moved to another flow is the packet that would have been built there', (t) => {
  const transport = fc.constantFrom('tcp', 'udp', 'udp without checksum', 'icmp');
  const flow = fc.tuple(address, port, address, port);
  fc.assert(
    fc.property(transport, flow, flow, fc.uint8Array({ maxLength: 50 }), (kind, from, to, data) => {
      const build = ([source, sourcePort, destination, destinationPort]: [string, number, string, number]) => {
        const ip = { source, destination };
        if (kind === 'tcp') return buildPacket({ ip, tcp: { sourcePort, destinationPort, data } });
        if (kind === 'icmp') return buildPacket({ ip, icmp: { type: 8, rest: sourcePort * 0x10000, data } });
        return buildPacket({ ip, udp: { sourcePort, destinationPort, data, zeroChecksum: kind !== 'udp' } });
      };
      const [packet, expected] = [build(from), build(to)];
      const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
      const expectedView = new DataView(expected.buffer, expected.byteOffset, expected.length);
      const before = flowOf(view, 0, packet.length)!;
      const after = flowOf(expectedView, 0, expected.length)!;
      moveToFlow(view, 0, packet.length, before, after);
      return Buffer.compare(packet, expected) === 0;
    }),
  );
  t.pass();
});

test('a flow reversed twice is itself', (t) => {
  const flow = { protocol: 6, source: 1, sourcePort: 2, destination: 3, destinationPort: 4 };
  t.deepEqual(reversed(reversed(flow)), flow);
  t.deepEqual(reversed(flow), { protocol: 6, source: 3, sourcePort: 4, destination: 1, destinationPort: 2 });
});

test('fragments, ICMP errors and cut-off ports belong to no flow', (t) => {
  const ip = { source: '10.0.0.1', destination: '10.0.0.2' };
  const flow = (packet: Uint8Array, end = packet.length) =>
    flowOf(new DataView(packet.buffer, packet.byteOffset, packet.length), 0, end);
  const udp = { sourcePort: 1, destinationPort: 2 };
  t.is(flow(buildPacket({ ip: { ...ip, mf: true }, udp })), undefined);
  t.is(flow(buildPacket({ ip: { ...ip, fragmentOffset: 8 }, udp })), undefined);
  t.is(flow(buildPacket({ ip, icmp: { type: 3, code: 3 } })), undefined);
  t.is(flow(buildPacket({ ip, udp }), 27), undefined);
  t.not(flow(buildPacket({ ip, udp }), 28), undefined);
});

test('Packet.copy takes whole packets with a right header only, and nothing behind them', (t) => {
  const built = buildPacket({
    ip: { source: '10.0.0.1', destination: '10.0.0.2' },
    udp: { sourcePort: 1, destinationPort: 2 },
  });
  const padded = new Uint8Array(60).fill(0xa5);
  padded.set(built, 7);
  const packet = Packet.copy(new DataView(padded.buffer), 7)!;
  t.deepEqual(Buffer.from(packet.bytes.subarray(14)), Buffer.from(built));
  t.true(packet.payloadIsValid());
  packet.view.setUint8(packet.length + 13, packet.view.getUint8(packet.length + 13) ^ 1);
  t.false(packet.payloadIsValid());
  packet.sealPayload();
  t.true(packet.payloadIsValid());
  for (let i = 0; i < 20; i++) {
    for (let bit = 1; bit < 256; bit <<= 1) {
      const broken = built.slice();
      broken[i] = broken[i]! ^ bit;
      t.is(Packet.copy(new DataView(broken.buffer), 0), undefined);
    }
  }
  for (let length = 0; length < built.length; length++) {
    t.is(Packet.copy(new DataView(built.slice(0, length).buffer), 0), undefined);
  }
});

test('the retransmission timeout follows the round trips (RFC 6298 section 2)', (t) => {
  const timer = new RoundTripTimer();
  t.is(timer.timeoutMs, 1000);
  timer.sent(100, 0);
  timer.sent(200, 50); // one is timed at a time
  timer.acknowledged(100, 800);
  t.is(timer.timeoutMs, 800 + 4 * 400);
  timer.sent(300, 1000);
  timer.acknowledged(250, 1100); // not the one that is timed
  timer.acknowledged(300, 1800);
  t.is(timer.timeoutMs, 800 + 4 * 300);
  timer.expired();
  timer.expired();
  t.is(timer.timeoutMs, 8000);
  for (let i = 0; i < 10; i++) timer.expired();
  t.is(timer.timeoutMs, 120_000);
  timer.sent(400, 2000);
  timer.resent(); // Karn: no sample from what was sent twice
  timer.acknowledged(400, 60_000);
  t.is(timer.timeoutMs, 2000);
  for (let i = 0; i < 100; i++) {
    timer.sent(500 + i, i);
    timer.acknowledged(500 + i, i);
  }
  t.is(timer.timeoutMs, 1000);
});

test('a timer that comes late gives what is under way a chance to disarm it', (t) => {
  let nowMs = 0;
  let due: (() => void) | undefined;
  const clock = {
    now: () => nowMs,
    every: (periodMs: number, run: () => void) => {
      periods.push(periodMs);
      due = run;
      return () => {
        due = undefined;
      };
    },
  };
  const periods: number[] = [];
  let runs = 0;
  const timer = new Timer(clock, () => runs++);
  timer.arm(1000);
  nowMs = 1100;
  due?.();
  t.deepEqual([runs, timer.armed, periods], [1, false, [1000]]);
  timer.arm(1000);
  nowMs = 2201;
  due?.();
  t.deepEqual([runs, timer.armed, periods], [1, true, [1000, 1000, 100]]);
  nowMs = 9000;
  due?.();
  t.deepEqual([runs, timer.armed], [2, false]);
  timer.arm(1000);
  timer.disarm();
  t.is(due, undefined);
});

test('ephemeral ports go round and skip what is taken', (t) => {
  const ports = new EphemeralPorts();
  t.is(
    ports.take(() => true),
    32768,
  );
  t.is(
    ports.take((candidate) => candidate !== 32769),
    32770,
  );
  t.is(
    ports.take((candidate) => candidate === 32768),
    32768,
  );
  t.is(
    ports.take(() => false),
    undefined,
  );
});

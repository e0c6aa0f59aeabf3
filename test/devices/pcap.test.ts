import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { ManualClock } from '../../src/clock.ts';
import type { Device } from '../../src/devices/device.ts';
import { PcapDevice } from '../../src/devices/pcap.ts';
import { PcapWriter } from '../../src/devices/pcap-writer.ts';
import { DirectorError } from '../../src/errors.ts';
import { batchOf, experimentalFrame, receiveAll } from './support/batch.ts';
import { FakeDevice } from './support/fake-device.ts';
import { until } from './support/until.ts';

function pathFor(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tapvs-pcap-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return join(folder, 'recording.pcap');
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

interface Recorded {
  readonly seconds: number;
  readonly fraction: number;
  readonly length: number;
  readonly frame: Uint8Array;
}

/** Reads the format as its specification has it, and nothing else. */
function read(path: string): { magic: number; snapLength: number; linkType: number; records: Recorded[] } {
  const bytes = new Uint8Array(readFileSync(path));
  const view = viewOf(bytes);
  const records: Recorded[] = [];
  let at = 24;
  while (at < bytes.length) {
    const kept = view.getUint32(at + 8, true);
    records.push({
      seconds: view.getUint32(at, true),
      fraction: view.getUint32(at + 4, true),
      length: view.getUint32(at + 12, true),
      frame: bytes.slice(at + 16, at + 16 + kept),
    });
    at += 16 + kept;
  }
  return {
    magic: view.getUint32(0, true),
    snapLength: view.getUint32(16, true),
    linkType: view.getUint32(20, true),
    records,
  };
}

/** What tcpdump makes of a file: a line a frame, with the time in seconds since 1970, addresses and bytes. */
function tcpdump(path: string): string {
  return execFileSync('tcpdump', ['-r', path, '-n', '-tt', '-e', '-xx'], { encoding: 'utf8', stdio: 'pipe' });
}

test('records both directions in the order in which they passed, as tcpdump reads them', (t) => {
  const path = pathFor(t);
  const fake = new FakeDevice();
  const clock = new ManualClock();
  const device: Device = new PcapDevice(fake, path, { clock, epochMs: 1_700_000_000_000 });
  t.deepEqual([device.name, device.mac, device.mtu], [fake.name, fake.mac, fake.mtu]);
  fake.incoming.push(experimentalFrame(60, 1), experimentalFrame(61, 2));
  clock.advance(1.25);
  t.is(receiveAll(device).length, 2);
  clock.advance(2000);
  t.is(device.transmit(batchOf([experimentalFrame(62, 3)])), 1);
  t.is(fake.outgoing.length, 1);
  device.close();
  device.close();
  t.is(fake.closed, 2);
  const text = tcpdump(path);
  const lines = text.split('\n').filter((line) => /^\d/.test(line));
  t.is(lines.length, 3);
  t.regex(lines[0]!, /^1700000000\.001250 02:00:00:00:00:77 > ff:ff:ff:ff:ff:ff, .*0x88b5.* length 60:/);
  t.regex(lines[1]!, /^1700000000\.001250 .* length 61:/);
  t.regex(lines[2]!, /^1700000002\.001250 .* length 62:/);
  t.regex(text, /0x0000: {2}ffff ffff ffff 0200 0000 0077 88b5 0101\n/);
});

test("by the machine's clock frames have the time of day", (t) => {
  const path = pathFor(t);
  const device = new PcapDevice(new FakeDevice(), path);
  const before = Date.now();
  device.transmit(batchOf([experimentalFrame(60)]));
  const after = Date.now();
  device.close();
  const { seconds, fraction } = read(path).records[0]!;
  const ms = seconds * 1000 + fraction / 1000;
  // The two clocks are read apart; a minute tells the time of day from anything else.
  t.true(ms > before - 60_000 && ms < after + 60_000);
});

test('nanoseconds are written as such', (t) => {
  const path = pathFor(t);
  const writer = new PcapWriter(path, { resolution: 'ns', epochMs: 1_700_000_000_999.5 });
  writer.write(viewOf(experimentalFrame(60)), 0, 60, 0.499875);
  writer.write(viewOf(experimentalFrame(60)), 0, 60, 0.5);
  writer.close();
  const { magic, records } = read(path);
  t.is(magic, 0xa1b23c4d);
  t.is(records[0]!.seconds, 1_700_000_000);
  t.true(Math.abs(records[0]!.fraction - 999_999_875) <= 1);
  t.deepEqual([records[1]!.seconds, records[1]!.fraction], [1_700_000_001, 0]);
  t.regex(
    execFileSync('tcpdump', ['-r', path, '--nano', '-tt'], { encoding: 'utf8', stdio: 'pipe' }),
    /^1700000000\.99999987/,
  );
});

test('what is written is read again, whatever its length and however much of it', (t) => {
  const folder = pathFor(t);
  const frame = fc.tuple(fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 60 }), fc.integer({ min: 64, max: 300 }), (frames, snapLength) => {
      const writer = new PcapWriter(folder, { snapLength });
      const bytes = frames.map(([length, fill]) => new Uint8Array(length).fill(fill));
      for (const [i, each] of bytes.entries()) writer.write(viewOf(each), 0, each.length, i * 250);
      writer.close();
      const { records, ...header } = read(folder);
      t.deepEqual(header, { magic: 0xa1b2c3d4, snapLength, linkType: 1 });
      t.deepEqual(
        records,
        bytes.map((each, i) => ({
          seconds: Math.floor(i / 4),
          fraction: (i % 4) * 250_000,
          length: each.length,
          frame: each.slice(0, snapLength),
        })),
      );
    }),
    { numRuns: 60, seed: 3 },
  );
});

test('a running recording can be read', async (t) => {
  const path = pathFor(t);
  const writer = new PcapWriter(path, { flushMs: 1 });
  t.teardown(() => writer.close());
  writer.write(viewOf(experimentalFrame(60)), 0, 60, 0);
  await until(() => readFileSync(path).length > 24, 'the first frame');
  t.is(read(path).records.length, 1);
});

test('frames that the disk does not keep up with are left out and counted; the file stays whole', async (t) => {
  const path = pathFor(t);
  const frame = experimentalFrame(84); // 100 bytes with its header
  const writer = new PcapWriter(path, { snapLength: 84, bufferBytes: 2000 });
  // One buffer on its way, the other full: the event loop has no chance to hear of any success.
  for (let i = 0; i < 30; i++) writer.write(viewOf(frame), 0, 84, i);
  t.is(writer.dropped, 10);
  await until(() => readFileSync(path).length >= 24 + 1000, 'the disk');
  writer.close();
  const { records } = read(path);
  t.is(records.length, 20);
  t.deepEqual(
    records.map(({ fraction }) => fraction / 1000),
    Array.from({ length: 20 }, (_, i) => i),
  );
});

test('closing completes the file at once, also with a write on its way', (t) => {
  const path = pathFor(t);
  const frame = experimentalFrame(84);
  const writer = new PcapWriter(path, { snapLength: 84, bufferBytes: 2000 });
  for (let i = 0; i < 15; i++) writer.write(viewOf(frame), 0, 84, i);
  writer.close();
  t.is(read(path).records.length, 15);
  writer.write(viewOf(frame), 0, 84, 16);
  t.is(writer.dropped, 1);
  writer.close();
});

test('a file that cannot be written any more is told of once, and stops nothing', (t) => {
  const script = fileURLToPath(new URL('./support/write-beyond-limit.js', import.meta.url));
  const command = 'ulimit -f 1 && exec "$0" "$@"';
  const output = execFileSync('sh', ['-c', command, process.execPath, script, pathFor(t)], { encoding: 'utf8' });
  t.is(output, 'ERR_DEVICE EFBIG\nfailures 1, left out 1\n');
});

test('refuses what is no file and options that cannot be', (t) => {
  const fake = new FakeDevice();
  const path = pathFor(t);
  for (const where of ['/dev/null', '/nonexistent/x.pcap', tmpdir()]) {
    const error = t.throws(() => new PcapDevice(fake, where), { instanceOf: DirectorError });
    t.is(error.code, 'ERR_DEVICE');
  }
  const cases: [object, string][] = [
    [{ resolution: 'ms' }, 'resolution'],
    [{ snapLength: 63 }, 'snapLength'],
    [{ snapLength: 262145 }, 'snapLength'],
    [{ bufferBytes: 65535 }, 'bufferBytes'],
    [{ flushMs: 0 }, 'flushMs'],
    [{ epochMs: -1 }, 'epochMs'],
    [{ file: 'x' }, 'file'],
  ];
  for (const [options, option] of cases) {
    const error = t.throws(() => new PcapDevice(fake, path, options), { instanceOf: DirectorError });
    t.is(error.option, option);
  }
  t.throws(() => new PcapDevice(fake, ''), { code: 'ERR_INVALID_OPTION' });
  t.throws(() => new PcapDevice({} as Device, path), { code: 'ERR_INVALID_OPTION' });
});

/** One thread's end of a device that several threads have, by itself. */
import test from 'ava';
import { configure } from '../../src/configuration.ts';
import type { Device, FrameBatch } from '../../src/devices/device.ts';
import { CrossingDevice } from '../../src/engine/crossing.ts';
import { LocalEngine } from '../../src/engine/local.ts';
import { Team } from '../../src/engine/team.ts';
import { buildFrame } from '../../src/packet/build.ts';
import type { FrameFields } from '../../src/packet/build-fields.ts';
import { FrameRing } from '../../src/packet/frame-ring.ts';

const MAC = '02:00:00:00:00:01';
const OTHER_MAC = '02:00:00:00:00:09';
const OVERHEARD = 1;

/** The first of two threads' devices, around one without frames of its own, which fails to send when it is told to. */
class Bench {
  readonly fromOther: FrameRing = FrameRing.of(2 ** 16);
  readonly crossing: CrossingDevice;
  sent = 0;
  isBroken = false;

  constructor() {
    const device: Device = {
      name: 'eth0',
      mac: MAC,
      mtu: 1500,
      open: () => {},
      receive: () => 0,
      transmit: ({ count }: FrameBatch) => {
        if (this.isBroken) throw new Error('no carrier');
        this.sent += count;
        return count;
      },
      close: () => {},
    };
    const rings = { to: [null, FrameRing.of(2 ** 16)], from: [null, this.fromOther] };
    this.crossing = new CrossingDevice(device, 0, rings, () => {});
  }

  /** The other thread hands a frame over. */
  push(fields: FrameFields, note = 0): void {
    const frame = buildFrame(fields);
    this.fromOther.push(new DataView(frame.buffer, frame.byteOffset, frame.length), 0, frame.length, 0, 0, note);
  }
}

test('a device that has died still wakes its thread for the others', (t) => {
  const { crossing } = new Bench();
  let woken = 0;
  crossing.open(
    () => woken++,
    () => {},
  );
  crossing.close();
  crossing.wake();
  t.is(woken, 1);
});

test('a thread answers for its addresses also after what it overheard has failed', (t) => {
  const bench = new Bench();
  const configuration = configure({
    interfaces: [{ device: bench.crossing, addresses: ['10.0.0.1/24'] }],
    forwarding: true,
  });
  const engine = new LocalEngine(configuration, () => {}, new Team(Team.plan(2), 0));
  t.teardown(() => engine.stop());
  engine.start();
  const ethernet = { source: OTHER_MAC, destination: MAC };
  const arp = { senderMac: OTHER_MAC, senderIp: '10.0.0.9', targetIp: '10.0.0.1' };
  bench.push({
    ethernet,
    ip: { source: '192.0.2.1', destination: '10.0.0.9' },
    udp: { sourcePort: 1, destinationPort: 2 },
  });
  engine.poll();
  t.is(bench.sent, 1, 'asked who has the address');

  bench.isBroken = true;
  bench.push({ ethernet, arp: { ...arp, operation: 2, targetMac: MAC } }, OVERHEARD);
  t.throws(() => engine.poll(), { message: 'no carrier' });
  bench.isBroken = false;
  bench.push({ ethernet, arp });
  engine.poll();
  t.is(bench.sent, 2, 'answered');
});

import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { buildFrame } from '../../src/packet/build.ts';
import { type Impairment, impair, MemorySwitch, type WireEnd } from '../../src/testing/index.ts';

class End implements WireEnd {
  onTransmit: ((frame: Uint8Array) => void) | null = null;
  readonly heard: number[] = [];
  readonly mac: string;

  constructor(wire: MemorySwitch, id: number) {
    this.mac = `02:00:00:00:00:0${id}`;
    this.unplug = wire.connect(this);
  }

  readonly unplug: () => void;

  inject(frame: Uint8Array): void {
    this.heard.push(frame[14]!);
  }

  send(destination: string, mark: number): void {
    this.onTransmit?.(
      buildFrame({ ethernet: { source: this.mac, destination, type: 0x88b5 }, payload: Uint8Array.of(mark) }),
    );
  }
}

function three(impairment?: Impairment): { wire: MemorySwitch; ends: [End, End, End] } {
  const wire = new MemorySwitch(impairment === undefined ? {} : { impairment });
  return { wire, ends: [new End(wire, 1), new End(wire, 2), new End(wire, 3)] };
}

const heard = (ends: readonly End[]): number[][] => ends.map((end) => end.heard);

test('unknown addresses and groups go everywhere, known ones to one port', async (t) => {
  const { ends } = three();
  const [a, b] = ends;
  a.send(b.mac, 1);
  await turn();
  t.deepEqual(heard(ends), [[], [1], [1]]);
  b.send(a.mac, 2);
  a.send(b.mac, 3);
  a.send('ff:ff:ff:ff:ff:ff', 4);
  await turn();
  t.deepEqual(heard(ends), [[2], [1, 3, 4], [1, 4]]);
  a.send(a.mac, 5);
  await turn();
  t.deepEqual(heard(ends), [[2], [1, 3, 4], [1, 4]]);
});

test('nothing arrives from inside a transmission', async (t) => {
  const { ends } = three();
  ends[0].send(ends[1].mac, 1);
  t.deepEqual(heard(ends), [[], [], []]);
  await turn();
  t.deepEqual(ends[1].heard, [1]);
});

test('an address that moves is found again; an end that is pulled out hears and says nothing', async (t) => {
  const { ends } = three();
  const [a, b, c] = ends;
  b.send(a.mac, 1);
  await turn();
  b.unplug();
  b.unplug();
  t.is(b.onTransmit, null);
  a.send(b.mac, 2);
  await turn();
  t.deepEqual(heard(ends), [[1], [], [1, 2]]);
  c.onTransmit?.(
    buildFrame({ ethernet: { source: b.mac, destination: a.mac, type: 0x88b5 }, payload: Uint8Array.of(3) }),
  );
  await turn();
  a.send(b.mac, 4);
  await turn();
  t.deepEqual(heard(ends), [[1, 3], [], [1, 2, 4]]);
});

test('the mirror sees every frame once, whatever becomes of it', async (t) => {
  const { wire, ends } = three(() => []);
  const seen: number[] = [];
  wire.onFrame = (frame) => void seen.push(frame[14]!);
  ends[0].send(ends[1].mac, 1);
  ends[0].send('ff:ff:ff:ff:ff:ff', 2);
  await turn();
  t.deepEqual(seen, [1, 2]);
  t.deepEqual(heard(ends), [[], [], []]);
});

test('frames shorter than an Ethernet header are no frames', async (t) => {
  const { ends } = three();
  ends[0].onTransmit?.(new Uint8Array(13));
  await turn();
  t.deepEqual(heard(ends), [[], [], []]);
});

test('delays are in rounds: what is held back is overtaken', async (t) => {
  const delays = [[2], [0, 1], [0]];
  const { ends } = three(() => delays.shift() ?? [0]);
  for (const mark of [1, 2, 3]) ends[0].send(ends[1].mac, mark);
  for (let i = 0; i < 4; i++) await turn();
  t.deepEqual(ends[1].heard, [2, 3, 2, 1]);
});

test('impair() is the same for the same seed, and about as bad as it was asked to be', (t) => {
  const faults = { seed: 5, loss: 0.2, duplication: 0.1, reordering: 0.3, maxDelay: 4 };
  const frame = new Uint8Array(60);
  const run = (): (readonly number[])[] => {
    const impairment = impair(faults);
    return Array.from({ length: 10_000 }, () => impairment(frame));
  };
  const fates = run();
  t.deepEqual(fates, run());
  const share = (holds: (fate: readonly number[]) => boolean): number => fates.filter(holds).length / fates.length;
  t.true(Math.abs(share((fate) => fate.length === 0) - 0.2) < 0.02);
  t.true(Math.abs(share((fate) => fate.length === 2) - 0.8 * 0.1) < 0.02);
  t.true(Math.abs(share((fate) => fate.length > 0 && fate[0]! > 0) - 0.8 * 0.3) < 0.02);
  t.is(Math.max(...fates.flat()), 4);
});

test('shares outside 0 to 1 are refused by name', (t) => {
  for (const name of ['loss', 'duplication', 'reordering'] as const) {
    for (const value of [-0.1, 1.1, Number.NaN]) {
      t.throws(() => impair({ seed: 1, [name]: value }), {
        code: 'ERR_INVALID_OPTION',
        message: new RegExp(`^${name}: `),
      });
    }
  }
  t.throws(() => impair({ seed: 1, maxDelay: 0 }), { code: 'ERR_INVALID_OPTION', message: /^maxDelay: 0/ });
});

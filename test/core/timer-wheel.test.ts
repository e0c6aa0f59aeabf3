/** The timer wheel against a list of expiries: what is due fires, never early, and at most a slot late. */
import test from 'ava';
import fc from 'fast-check';
import { EXPIRES, N_CONTROL, TIMEOUT } from '../../src/conntrack/layout.ts';
import { TimerWheel } from '../../src/conntrack/wheel.ts';
import './lab.ts';

const STRIDE = 16;
const ROWS = 40;
/** Ticks in a slot of the wheel. */
const SLOT = 4;

class Model {
  readonly rows = new Int32Array((ROWS + 1) * STRIDE);
  readonly wheel: TimerWheel;
  /** Expiries by row, in ticks since the start: a model has numbers enough. */
  readonly due = new Map<number, number>();
  readonly #start: number;
  now = 0;

  constructor(start: number) {
    this.#start = start;
    this.wheel = new TimerWheel(this.rows, start, (row, tick) => this.#fire(row, tick));
  }

  row(i: number): number {
    return (1 + (i % ROWS)) * STRIDE;
  }

  /** Sets or moves an expiry, as a packet does: a later one is only written down. */
  set(i: number, ticks: number): void {
    const row = this.row(i);
    const expires = this.now + ticks;
    const before = this.due.get(row);
    this.due.set(row, expires);
    this.rows[row + EXPIRES] = (this.#start + expires) | 0;
    if (before === undefined) this.wheel.insert(row);
    else if (expires < before) this.wheel.file(row);
  }

  remove(i: number): void {
    const row = this.row(i);
    this.wheel.remove(row);
    this.due.delete(row);
  }

  advance(ticks: number, budget: number): void {
    this.now += ticks;
    let rounds = 0;
    while (!this.wheel.advance((this.#start + this.now) | 0, budget)) {
      if (++rounds > 100_000) throw new Error('does not come to an end');
    }
    for (const [row, due] of this.due) {
      if (due <= this.now - SLOT) throw new Error(`row ${row} is ${this.now - due} ticks late`);
    }
  }

  #fire(row: number, tick: number): void {
    const wanted = (this.#start + this.now) | 0;
    if (tick !== wanted) throw new Error(`told ${tick} at ${this.now}`);
    const due = this.due.get(row);
    if (due === undefined) throw new Error(`row ${row} fired that was not set`);
    if (due > this.now) throw new Error(`row ${row} fired ${due - this.now} ticks early`);
    this.due.delete(row);
  }
}

type Action =
  | { readonly set: number; readonly ticks: number }
  | { readonly remove: number }
  | { readonly advance: number; readonly budget: number };

/** From nothing over single ticks to several times round the wheel. */
const span = fc.oneof(
  fc.nat(40),
  fc.nat(2_000),
  fc.nat(100_000),
  fc.nat(400_000),
  fc.constantFrom(0, 3, 4, 5, 4 * 4096, 4 * 4096 - 1, 4 * 4096 + 4, 4 * 8192, 4 * 8192 + 1),
);
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ set: fc.nat(ROWS), ticks: span }) },
  { weight: 1, arbitrary: fc.record({ remove: fc.nat(ROWS) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      advance: fc.oneof(fc.nat(10), fc.nat(1000), fc.nat(100_000)),
      budget: fc.constantFrom(1, 3, 1000),
    }),
  },
);

test('fires what is due, never early, never more than a slot late, whatever happens in between', (t) => {
  const start = fc.oneof(fc.constant(0), fc.constantFrom(2 ** 31 - 1, 2 ** 31 - 5000, -(2 ** 31), -1), fc.integer());
  fc.assert(
    fc.property(start, fc.array(action, { maxLength: 120, size: 'max' }), (at, actions) => {
      const model = new Model(at);
      for (const one of actions) {
        if ('set' in one) model.set(one.set, one.ticks);
        else if ('remove' in one) model.remove(one.remove);
        else model.advance(one.advance, one.budget);
      }
      // In the end everything fires, at its time.
      for (const due of [...model.due.values()].sort((a, b) => a - b))
        model.advance(Math.max(0, due - model.now), 1000);
      model.advance(SLOT, 1000);
      if (model.due.size > 0) throw new Error(`${model.due.size} never fired`);
    }),
    { numRuns: 300 },
  );
  t.pass();
});

test('steps of one tick over the wrap of the clock at 2^31', (t) => {
  const model = new Model(2 ** 31 - 300);
  for (let i = 0; i < ROWS; i++) model.set(i, 15 * i);
  for (let tick = 0; tick < 620; tick++) model.advance(1, 1000);
  t.is(model.due.size, 0);
});

test('an entry that lies further ahead than the wheel reaches goes round it until its time', (t) => {
  const model = new Model(0);
  const days = 31; // the longest timer there may be
  model.set(1, days * 86_400 * 100);
  for (let hour = 0; hour < days * 24; hour++) {
    t.is(model.due.size, 1);
    model.advance(3_600 * 100, 1000);
  }
  model.advance(SLOT, 1000);
  t.is(model.due.size, 0);
});

test('no more rows are looked at than the budget allows', (t) => {
  const rows = new Int32Array(1001 * STRIDE);
  let fired = 0;
  const wheel = new TimerWheel(rows, 0, () => fired++);
  for (let row = STRIDE; row < rows.length; row += STRIDE) {
    rows[row + EXPIRES] = 100;
    wheel.insert(row);
  }
  const seen: number[] = [];
  while (!wheel.advance(200, 300)) seen.push(fired);
  t.deepEqual([...seen, fired], [300, 600, 900, 1000]);
});

test('a row that another hangs on waits for it, if that is over hardly later, however time passes', (t) => {
  const template = STRIDE;
  const connection = 2 * STRIDE;
  for (const start of [0, 2 ** 31 - 200]) {
    for (const [timeout, later, together] of [
      [320, 0, true],
      [320, 4, true],
      [320, 20, false],
      [6000, 256, true],
      [6000, 300, false],
    ] as const) {
      for (const first of [template, connection]) {
        for (const step of [1, 5, 8000]) {
          const rows = new Int32Array(3 * STRIDE);
          const fired: string[] = [];
          const wheel = new TimerWheel(rows, start, (row) => {
            fired.push(row === connection ? 'connection' : rows[template + N_CONTROL] === 0 ? 'template' : 'held');
            if (row === connection) rows[template + N_CONTROL] = 0;
          });
          rows[template + TIMEOUT] = timeout;
          rows[template + N_CONTROL] = 1;
          rows[template + EXPIRES] = (start + timeout) | 0;
          rows[connection + EXPIRES] = (start + timeout + later) | 0;
          for (const row of [first, template + connection - first]) wheel.insert(row);
          for (let now = step; now <= 8000; now += step) wheel.advance((start + now) | 0, 100);
          const wanted = together ? ['connection', 'template'] : ['held', 'connection'];
          t.deepEqual(
            fired,
            wanted,
            `start ${start}, ${later} later than ${timeout}, ${first} first, steps of ${step}`,
          );
        }
      }
    }
  }
});

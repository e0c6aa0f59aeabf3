import test from 'ava';
import fc from 'fast-check';
import type { Control } from '../../src/ipvsadm/control.ts';
import { ipvsadm } from '../../src/ipvsadm/ipvsadm.ts';
import { FileNames, systemNames } from '../../src/ipvsadm/names.ts';
import { SWITCHES } from '../../src/ipvsadm/options.ts';
import { splitWords } from '../../src/ipvsadm/words.ts';
import { FakeControl } from './fake-control.ts';
import { play, readRecordings } from './recordings.ts';

for (const recording of readRecordings('golden', 'commands', 'save-restore')) {
  test(`answers as the recording of Linux: ${recording.about}`, (t) => {
    const commands = { ...recording, steps: recording.steps.filter((step) => 'exec' in step) };
    t.deepEqual(play(commands, new FakeControl()), []);
  });
}

test('splits command lines as a shell does', (t) => {
  const cases: readonly [line: string, words: readonly string[]][] = [
    ['', []],
    ['  \t ', []],
    ['-A  -t\t10.0.0.1:80\n', ['-A', '-t', '10.0.0.1:80']],
    [`-t '[2001:db8::1]:80' -s "rr"`, ['-t', '[2001:db8::1]:80', '-s', 'rr']],
    [`-t '' ""`, ['-t', '', '']],
    [`a'b c'd"e f"g`, ['ab cde fg']],
    [String.raw`a\ b "c\"d\\e\f" '\'`, ['a b', String.raw`c"d\e\f`, '\\']],
    [String.raw`"unclosed \" quote`, ['unclosed " quote']],
    [`'unclosed`, ['unclosed']],
    ['tail\\', ['tail\\']],
  ];
  for (const [line, words] of cases) t.deepEqual(splitWords(line), words, line);
});

test('takes words or a text, with or without the word ipvsadm', (t) => {
  const control = new FakeControl();
  t.deepEqual(ipvsadm(control, ['-A', '-t', '10.0.0.100:80']), { status: 0, out: '' });
  t.deepEqual(ipvsadm(control, 'ipvsadm -A -t 10.0.0.100:81'), { status: 0, out: '' });
  t.deepEqual(ipvsadm(control, ['ipvsadm', '-S', '-n']), {
    status: 0,
    out: '-A -t 10.0.0.100:80 -s wlc\n-A -t 10.0.0.100:81 -s wlc\n',
  });
});

test('does not swallow errors that are not about the command', (t) => {
  const control: Control = Object.assign(new FakeControl(), {
    flush: () => {
      throw new RangeError('a bug');
    },
  });
  t.throws(() => ipvsadm(control, '-C'), { instanceOf: RangeError });
});

test('reads hosts and services files', (t) => {
  const names = new FileNames(
    () =>
      '# comment\n10.0.0.1 One one.example # first\n10.0.0.1 two\n10.0.0.2\nnonsense x\n2001:DB8::0:1 six\n10.0.0.3 one\n',
    () => 'http 80/tcp www # web\nhttp 81/tcp\nweb 80/tcp\nhttp 80/udp\n',
  );
  t.is(names.host('10.0.0.1'), 'One');
  t.is(names.host('2001:db8::1'), 'six');
  t.is(names.host('10.0.0.2'), undefined);
  t.is(names.address('ONE'), '10.0.0.1');
  t.is(names.address('two'), '10.0.0.1');
  t.is(names.address('six'), undefined);
  t.is(names.port('tcp', 'www'), 80);
  t.is(names.port('udp', 'www'), undefined);
  t.is(names.port('tcp', 'http'), 80);
  t.is(names.service('tcp', 80), 'http');
  t.is(names.service('sctp', 80), undefined);
});

test('knows the usual services on every machine', (t) => {
  const names = systemNames();
  t.is(names.port('tcp', 'https'), 443);
  t.is(names.service('udp', 53), 'domain');
});

const serviceWords = fc.oneof(
  fc
    .tuple(fc.constantFrom('-t', '-u', '--sctp-service'), fc.ipV4(), fc.integer({ min: 1, max: 65535 }))
    .map(([protocol, address, port]) => `${protocol} ${address}:${port}`),
  fc
    .tuple(fc.constantFrom('-t', '-u'), fc.ipV6(), fc.integer({ min: 1, max: 65535 }))
    .map(([protocol, address, port]) => `${protocol} [${address}]:${port}`),
  fc.integer({ min: 1, max: 0x7fffffff }).map((mark) => `-f ${mark}`),
  fc.integer({ min: 1, max: 0x7fffffff }).map((mark) => `-f ${mark} -6`),
);
const addOptions = fc.constantFrom(
  '',
  '-s rr',
  '-s sh -b sh-port',
  '-s mh -b mh-fallback,mh-port',
  '-p',
  '-p 60',
  '-b flag-3',
);
const serverWords = fc
  .tuple(
    fc.ipV4(),
    fc.integer({ min: 1, max: 65535 }),
    fc.constantFrom('-g', '-m', '-i', '-i --tun-type gue --tun-port 6080 --tun-csum', '-i --tun-type gre'),
    fc.integer({ min: 0, max: 0x7fffffff }),
  )
  .map(([address, port, method, weight]) => `-r ${address}:${port} ${method} -w ${weight}`);

test('saves what restores to the same', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(serviceWords, addOptions, fc.array(serverWords, { maxLength: 4 }))), (services) => {
      const control = new FakeControl();
      for (const [service, options, servers] of services) {
        ipvsadm(control, `-A ${service} ${options}`);
        for (const server of servers) ipvsadm(control, `-a ${service} ${server}`);
      }
      const saved = ipvsadm(control, '-S -n').out;
      const restored = new FakeControl();
      t.deepEqual(ipvsadm(restored, '-R', saved), { status: 0, out: '' });
      t.deepEqual(ipvsadm(restored, '-S -n').out.split('\n').sort(), saved.split('\n').sort());
    }),
    { numRuns: 200 },
  );
});

const anyWord = fc.oneof(
  fc.constantFrom(...SWITCHES.flatMap(({ long, short }) => [`--${long}`, short === undefined ? '--' : `-${short}`])),
  fc.constantFrom('10.0.0.100:80', '[2001:db8::1]:80', '10.0.0.11', '5', 'rr', 'sh', 'sh-port', 'master', 'gue', ''),
  fc.string({ maxLength: 8 }),
);

test('answers any command line with one of the four statuses, and changes nothing where it makes no sense', (t) => {
  fc.assert(
    fc.property(fc.array(anyWord, { maxLength: 8 }), (words) => {
      const control = new FakeControl();
      ipvsadm(control, '-A -t 10.0.0.100:80');
      ipvsadm(control, '-a -t 10.0.0.100:80 -r 10.0.0.11');
      const before = ipvsadm(control, '-S -n').out;
      const { status, out } = ipvsadm(control, words);
      t.true([0, 1, 2, 255].includes(status));
      if (status === 0) return;
      t.true(out.endsWith('\n'));
      t.is(ipvsadm(control, '-S -n').out, before);
    }),
    { numRuns: 2000 },
  );
});

import test from 'ava';
import fc from 'fast-check';
import { DirectorError } from '../../src/errors.ts';
import { buildPacket } from '../../src/packet/build.ts';
import { parsePacket } from '../../src/packet/parse.ts';
import { printPacket } from '../../src/packet/print.ts';

function print(text: string): string {
  const bytes = buildPacket(parsePacket(text));
  return printPacket(new DataView(bytes.buffer), 0, bytes.length);
}

test('a line becomes the packet that it describes', (t) => {
  t.is(
    print('tcp 192.0.2.1:40000 > 10.0.0.100:80 S'),
    'IPv4 192.0.2.1:40000 > 10.0.0.100:80 ttl 64 TCP [S] seq 1000 win 64240 len 0',
  );
  t.is(
    print('TCP [2001:db8::1]:40000 > [2001:db8::64]:80 [PA] len 9 ttl 63'),
    'IPv6 [2001:db8::1]:40000 > [2001:db8::64]:80 hlim 63 TCP [PA] seq 1000 ack 0 win 64240 len 9',
  );
  t.is(
    print('  udp 192.0.2.1:5353>10.0.0.100:53  df len 512 '),
    'IPv4 192.0.2.1:5353 > 10.0.0.100:53 ttl 64 DF UDP len 512',
  );
  t.is(print('tcp 192.0.2.1:1 > 10.0.0.100:2'), print('tcp 192.0.2.1:1 > 10.0.0.100:2 S'));
  t.regex(print('sctp 192.0.2.1:5000 > 10.0.0.100:5001'), /^IPv4 192.0.2.1:5000 > 10.0.0.100:5001 ttl 64 SCTP .*INIT/);
  t.regex(print('icmp 192.0.2.1 > 10.0.0.100'), /^IPv4 192.0.2.1 > 10.0.0.100 ttl 64 ICMP echo request/);
  t.regex(print('icmp 2001:db8::1 > 2001:db8::2'), /^IPv6 2001:db8::1 > 2001:db8::2 hlim 64 ICMPv6 echo request/);
});

for (const [text, part] of [
  ['', ''],
  ['tcp', 'tcp'],
  ['tcp 192.0.2.1:1 10.0.0.1:2', 'tcp 192.0.2.1:1 10.0.0.1:2'],
  ['gre 192.0.2.1:1 > 10.0.0.1:2', 'gre'],
  ['tcp 192.0.2.1 > 10.0.0.1:80', '192.0.2.1'],
  ['tcp 192.0.2.300:1 > 10.0.0.1:80', '192.0.2.300:1'],
  ['tcp 2001:db8::1:80 > [2001:db8::2]:80', undefined],
  ['tcp 192.0.2.1:99999 > 10.0.0.1:80', '192.0.2.1:99999'],
  ['tcp 192.0.2.1:1 > 10.0.0.1:x', '10.0.0.1:x'],
  ['icmp 192.0.2.1:1 > 10.0.0.1', '192.0.2.1:1'],
  ['tcp 192.0.2.1:1 > 10.0.0.1:80 SX', 'SX'],
  ['udp 192.0.2.1:1 > 10.0.0.1:80 S', 'S'],
  ['tcp 192.0.2.1:1 > 10.0.0.1:80 len', undefined],
  ['tcp 192.0.2.1:1 > 10.0.0.1:80 len 70000', '70000'],
  ['tcp 192.0.2.1:1 > 10.0.0.1:80 ttl 256', '256'],
] as const) {
  test(`refused: '${text}'`, (t) => {
    const error = t.throws(() => buildPacket(parsePacket(text, 'frame')), { instanceOf: DirectorError });
    t.is(error?.code, 'ERR_INVALID_OPTION');
    if (part !== undefined) t.is(error?.value, part);
  });
}

test('whatever is typed becomes a packet or an error of the library', (t) => {
  const word = fc.constantFrom(
    'tcp',
    'udp',
    'icmp',
    '1.2.3.4:5',
    '1.2.3.4',
    '[::1]:5',
    '>',
    'S',
    'len',
    '7',
    'ttl',
    'df',
    'ü',
    ':',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(word, { maxLength: 10 }).map((words) => words.join(' ')),
        fc.string(),
      ),
      (text) => {
        try {
          parsePacket(text);
        } catch (error) {
          if (!(error instanceof DirectorError)) throw error;
        }
      },
    ),
    { seed: 1 },
  );
  t.pass();
});

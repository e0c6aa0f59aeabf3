/** The examples, as a reader runs them: each in a process of its own. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { testWithTaps } from '../devices/support/namespace.ts';

const COMPILED = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const WITH_TAPS: readonly string[] = ['two-arms'];

/** What each prints: these texts, in this order, with anything between them. */
const TOLD: Readonly<Record<string, readonly string[]>> = {
  'first-program': [
    '02:00:00:00:00:12 IPv4 192.0.2.17:40001 > 192.0.2.100:80',
    '02:00:00:00:00:11 IPv4 192.0.2.17:40002 > 192.0.2.100:80',
    '192.0.2.11:80                Route   1      1          0',
    '192.0.2.12:80                Route   1      2          0',
    'SYN_RECV',
  ],
  'own-cable': ['192.0.2.12\nI am 192.0.2.11\nI am 192.0.2.12\nI am 192.0.2.11\n20 frames came in by the cable'],
  'own-scheduler': ['server 3\nserver 2\nserver 1\nserver 3\nserver 2\nserver 1\n', '192.0.2.100:80 lru\n'],
  'two-arms': ['8082\nport 8081\nport 8082\nport 8082\nport 8081\nport 8082\n', '8081                  2 '],
  watching: [
    'port 40001 is served by 192.0.2.11:80',
    'overloaded: true',
    'nobody can serve 192.0.2.100:80',
    'port 40001 ESTABLISHED, 900 s left; port 40002 SYN_RECV, 60 s left',
    'port 40002 was forgotten in SYN_RECV',
    'port 40001 ESTABLISHED, 780 s left',
    '1 SHORT_FRAME',
  ],
};

for (const [name, told] of Object.entries(TOLD)) {
  const declare = WITH_TAPS.includes(name) ? testWithTaps : test.serial;
  declare(`${name} does what it says`, async (t) => {
    const path = join(COMPILED, 'examples', `${name}.js`);
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [path], { timeout: 30_000 });
    t.is(stderr, '');
    let rest = stdout;
    for (const text of told) {
      const at = rest.indexOf(text);
      t.true(at >= 0, `${text}\nis not said in its turn:\n${stdout}`);
      rest = rest.slice(at + text.length);
    }
  });
}

test('every example is tested', (t) => {
  const sources = readdirSync(join(COMPILED, '..', 'examples')).filter((file) => file.endsWith('.ts'));
  t.deepEqual(
    sources.map((file) => file.slice(0, -'.ts'.length)),
    Object.keys(TOLD),
  );
});

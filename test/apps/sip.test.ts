/** Persistence engines: SIP's Call-ID, and one of the user's own. */
import test from 'ava';
import fc from 'fast-check';
import { type EnginePacket, type PersistenceEngine, sip } from '../../src/index.ts';
import { Lab, rs, udp } from '../core/lab.ts';

function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** What SIP finds in a datagram; the view ends where the datagram does, so that reading on throws. */
function callId(text: string, protocol = 17): string | null {
  const view = new DataView(bytes(text).buffer);
  return sip.identify({ protocol, view, payload: 0, payloadLength: text.length } as EnginePacket);
}

const CASES: readonly (readonly [string, string | null])[] = [
  ['INVITE\r\nCall-ID: a@b\r\n', 'a@b'],
  ['INVITE\ncall-id:a\n', 'a'],
  ['INVITE\ri : a\r', 'a'],
  ['x\r\nin: a\r\n', null],
  ['Call-ID: a\r\n', null],
  ['\r\nCall-ID: a\r\n', 'a'],
  ['x\r\nCall-ID: \t a\r\n', 'a'],
  ['x\r\nCall-ID: \r\n\ta\r\n', 'a'],
  ['x\r\n Call-ID: a\r\n', null],
  ['x\r\nCall-ID: a', null],
  ['x\r\nCall-ID: a b\r\n', null],
  ['x\r\nCall-ID: a@\r\n', null],
  ['x\r\nCall-ID: a@b@c\r\n', null],
  ['x\r\nCall-ID:\r\n', null],
  ['x\r\nCall-ID', null],
  ['x\r\ni', null],
  ['x\r\ni:', null],
  [`x\r\ni:${'y'.repeat(255)}\r\n`, 'y'.repeat(255)],
  [`x\r\ni:${'y'.repeat(256)}\r\n`, null],
  ['x\r\ni:\xe9\xd6\r\n', '\xe9\xd6'],
  ['x\r\ni:\xd7\r\n', null],
  ['x\r\nCall-ID: first\r\nCall-ID: second\r\n', 'first'],
  ['', null],
];
for (const [text, wanted] of CASES) {
  test(`${JSON.stringify(text).slice(0, 60)} is of the call ${wanted?.slice(0, 20) ?? '(none)'}`, (t) => {
    t.is(callId(text), wanted);
    t.is(callId(text, 6), null);
  });
}

test('nothing looks beyond the end or throws, whatever the datagram', (t) => {
  const part = fc.constantFrom('\r\n', '\n', '\r', 'Call-ID', 'i', ':', ' ', '\t', 'abc', '@', 'x');
  const text = fc.array(fc.oneof({ weight: 6, arbitrary: part }, fc.string({ maxLength: 2 })), { maxLength: 24 });
  fc.assert(
    fc.property(text, (parts) => {
      const found = callId(parts.join('').replace(/[^\0-\xff]/g, '?'));
      t.true(found === null || (found.length > 0 && found.length <= 255));
    }),
    { numRuns: 5000 },
  );
});

/** A service whose engine is `engine`, with servers 11 and 12. */
function serve(engine: string, options: { onePacket?: boolean } = {}, engines: readonly PersistenceEngine[] = []): Lab {
  const lab = new Lab({ engines });
  lab.director.addService(udp(5060), { scheduler: 'rr', persistent: 60, engine, ...options });
  for (const n of [11, 12]) lab.director.addDestination(udp(5060), { address: rs(n) }, { method: 'masq' });
  return lab;
}

function servers(lab: Lab, texts: readonly string[]): (string | undefined)[] {
  return texts.map((text, i) => {
    const [sent] = lab.datagram({ port: 1000 + i, toPort: 5060 }, { data: bytes(text) });
    return sent === undefined ? undefined : /> (\S+):5060/.exec(sent.text)![1];
  });
}

test('ten thousand calls of one client are told apart, and forgotten when they are over', (t) => {
  const lab = new Lab({ maxConnections: 2 ** 15 });
  lab.director.addService(udp(5060), { scheduler: 'rr', persistent: 60, engine: 'sip', onePacket: true });
  for (const n of [11, 12]) lab.director.addDestination(udp(5060), { address: rs(n) }, { method: 'masq' });
  for (let i = 0; i < 10_000; i++) lab.datagram({ toPort: 5060 }, { data: bytes(`x\r\ni:call-${i}\r\n`) });
  t.is(lab.director.connections().length, 10_000);
  lab.datagram({ toPort: 5060 }, { data: bytes('x\r\ni:call-77\r\n') });
  t.is(lab.director.connections().length, 10_000);
  lab.sleep(70);
  t.deepEqual(lab.director.connections(), []);
});

test('an engine of the user’s own', (t) => {
  const firstByte: PersistenceEngine = {
    name: 'first-byte',
    identify: ({ view, payload, payloadLength }) =>
      payloadLength > 0 ? String.fromCharCode(view.getUint8(payload)) : null,
  };
  const lab = serve('first-byte', {}, [firstByte]);
  t.deepEqual(servers(lab, ['a1', 'b1', 'a2', 'b2', '']), [rs(12), rs(11), rs(12), rs(11), undefined]);
  t.deepEqual(lab.verdicts(), { MASQ: 4, UNIDENTIFIED: 1 });
  const templates = lab.director.connections().filter(({ engine }) => engine !== '');
  t.deepEqual(templates.map(({ engine, engineData }) => `${engine} ${engineData}`).sort(), [
    'first-byte a',
    'first-byte b',
  ]);
  t.regex(lab.director.ipvsadm('-Ln').out, /persistent 60 pe first-byte/);
});

test('an engine that finds too much or nothing at all has found nothing', (t) => {
  for (const data of ['', 'x'.repeat(256)]) {
    const lab = serve('odd', {}, [{ name: 'odd', identify: () => data }]);
    t.deepEqual(servers(lab, ['a']), [undefined]);
  }
});

test('engines are checked when the director is made', (t) => {
  const make = (engine: unknown) => () => new Lab({ engines: [engine as PersistenceEngine] });
  t.throws(make({ name: '', identify: () => null }), { code: 'ERR_INVALID_OPTION', message: /engines\[0\]\.name/ });
  t.throws(make({ name: 'x' }), { code: 'ERR_INVALID_OPTION', message: /engines\[0\]\.identify/ });
  t.throws(make(null), { code: 'ERR_INVALID_OPTION', message: /engines\[0\]/ });
});

test('templates of an engine and others of the same client do not meet', (t) => {
  const lab = serve('sip');
  t.deepEqual(servers(lab, ['x\r\ni:one\r\n']), [rs(12)]);
  lab.director.editService(udp(5060), { scheduler: 'rr', persistent: 60 });
  lab.datagram({ port: 3000, toPort: 5060 }, { data: bytes('no call') });
  const kinds = () => lab.director.connections().filter(({ clientPort }) => clientPort === 0);
  t.deepEqual(
    kinds()
      .map(({ engineData }) => engineData)
      .sort(),
    ['', 'one'],
  );
  lab.director.editService(udp(5060), { scheduler: 'rr', persistent: 60, engine: 'sip' });
  lab.datagram({ port: 3001, toPort: 5060 }, { data: bytes('x\r\ni:one\r\n') });
  t.deepEqual(
    kinds()
      .map(({ engineData }) => engineData)
      .sort(),
    ['', 'one'],
  );
});

/** The words of FTP that the helper reads and writes. Linux's answers to the same are among the recordings. */
import test from 'ava';
import fc from 'fast-check';
import { formatAddress } from '../../src/address.ts';
import {
  EXTENDED_PASSIVE,
  FtpEndpoint,
  findPassiveRequest,
  NO_REQUEST,
  OTHER_PASSIVE,
  PASSIVE,
  readActiveRequest,
  readExtendedReply,
  readPassiveReply,
  writeExtended,
  writeNumbers,
} from '../../src/apps/ftp-text.ts';
import '../core/lab.ts';

/** A view of exactly these bytes: reading beyond them throws. */
function viewOf(text: string): DataView {
  const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
  return new DataView(bytes.buffer);
}

function passive(text: string, family: 4 | 6 = 4): number {
  return findPassiveRequest(viewOf(text), 0, text.length, family);
}

const cases: readonly (readonly [string, number, number])[] = [
  ['PASV\r\n', PASSIVE, NO_REQUEST],
  ['pAsV\r\n', PASSIVE, NO_REQUEST],
  ['NOOP\r\nPASV\r\n', PASSIVE, NO_REQUEST],
  ['PASV\n', NO_REQUEST, NO_REQUEST],
  ['PASV\r', NO_REQUEST, NO_REQUEST],
  ['EPSV\r\n', EXTENDED_PASSIVE, EXTENDED_PASSIVE],
  ['EPSV 1\r\n', EXTENDED_PASSIVE, OTHER_PASSIVE],
  ['EPSV 2\r\n', OTHER_PASSIVE, EXTENDED_PASSIVE],
  ['EPSV ALL\r\n', OTHER_PASSIVE, OTHER_PASSIVE],
  ['EPSV 1', OTHER_PASSIVE, OTHER_PASSIVE],
  ['EPSVX\r\n', NO_REQUEST, NO_REQUEST],
  ['', NO_REQUEST, NO_REQUEST],
];
for (const [text, four, six] of cases) {
  test(`request ${JSON.stringify(text)}`, (t) => {
    t.is(passive(text, 4), four);
    t.is(passive(text, 6), six);
  });
}

type Reader = (text: string, into: FtpEndpoint) => boolean;
const READERS: Record<string, Reader> = {
  active4: (text, into) => readActiveRequest(viewOf(text), 0, text.length, 4, into),
  active6: (text, into) => readActiveRequest(viewOf(text), 0, text.length, 6, into),
  '227': (text, into) => readPassiveReply(viewOf(text), 0, text.length, into),
  '229 4': (text, into) => readExtendedReply(viewOf(text), 0, text.length, 4, into),
  '229 6': (text, into) => readExtendedReply(viewOf(text), 0, text.length, 6, into),
};

/** What a reader finds: `address port text`, or nothing. */
function found(reader: string, text: string): string | null {
  const into = new FtpEndpoint();
  if (!READERS[reader]!(text, into)) return null;
  const family = reader.endsWith('6') ? 6 : 4;
  return `${formatAddress(family, into.words)} ${into.port} ${text.slice(into.start, into.end)}`;
}

const READ: readonly (readonly [string, string, string | null])[] = [
  ['active4', 'PORT 192,0,2,1,15,161\r\n', '192.0.2.1 4001 192,0,2,1,15,161'],
  ['active4', 'PORT 192,0,2,1,15,161', null],
  ['active4', 'PORT 192,0,2,1,15\r\n', null],
  ['active4', 'PORT 300,0,2,1,15,161\r\n', '44.0.2.1 4001 300,0,2,1,15,161'],
  ['active4', 'PORT', null],
  ['active6', 'PORT 192,0,2,1,15,161\r\n', null],
  ['active4', 'EPRT |1|192.0.2.1|6000|\r\n', '192.0.2.1 6000 |1|192.0.2.1|6000|'],
  ['active4', 'EPRT !1!192.0.2.1!6000!', '192.0.2.1 6000 !1!192.0.2.1!6000!'],
  ['active4', 'EPRT |1|192.0.2|6000|\r\n', null],
  ['active4', 'EPRT |1|192.0.2.1.5|6000|\r\n', null],
  ['active4', 'EPRT |1|192.0.2.256|6000|\r\n', null],
  ['active4', 'EPRT |1|192..2.1|6000|\r\n', null],
  ['active4', 'EPRT |2|2001:db8::1|6000|\r\n', null],
  ['active4', 'EPRT |1|192.0.2.1|0|\r\n', null],
  ['active4', 'EPRT |||6000|\r\n', null],
  ['active4', 'EPRT |1|192.0.2.1|6000', null],
  ['active6', 'EPRT |2|2001:db8::1|6000|\r\n', '2001:db8::1 6000 |2|2001:db8::1|6000|'],
  ['active6', 'EPRT |2|2001:db8::1|', null],
  ['active6', 'EPRT |2|nonsense|6000|\r\n', null],
  ['active6', `EPRT |2|${'1'.repeat(100)}|6000|\r\n`, null],
  ['active6', 'EPRT |1|192.0.2.1|6000|\r\n', null],
  ['227', '227 Entering Passive Mode (10,0,0,12,195,80).\r\n', '10.0.0.12 50000 10,0,0,12,195,80'],
  ['227', '227 =010,000,000,012,010,001\r\n', '10.0.0.12 2561 010,000,000,012,010,001'],
  ['227', '227 10,0,0,12,195,80\r\n', '10.0.0.12 50000 10,0,0,12,195,80'],
  ['227', '227 Entering 7 modes (10,0,0,12,195,80)\r\n', null],
  ['227', '227-more\r\n', null],
  ['227', '227 (10,0,0,12,195,80', null],
  ['227', '227 ((((((', null],
  ['229 4', '229 Entering Extended Passive Mode (|||50001|)\r\n', '0.0.0.0 50001 |||50001|'],
  ['229 4', '229 (|1|10.0.0.12|50001|)', '10.0.0.12 50001 |1|10.0.0.12|50001|'],
  ['229 4', '229 (||50001|)', null],
  ['229 4', '229 (|||70000|)', '0.0.0.0 4464 |||70000|'],
  ['229 4', '229 (|||', null],
  ['229 4', '229 (\x7f\x7f\x7f1\x7f)', null],
  ['229 6', '229 (|2|2001:db8::c|50001|)', '2001:db8::c 50001 |2|2001:db8::c|50001|'],
];
for (const [reader, text, wanted] of READ) {
  test(`${reader} ${JSON.stringify(text).slice(0, 70)}`, (t) => {
    t.is(found(reader, text), wanted);
  });
}

test('what is written is read as it was meant', (t) => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 65535 }), (address, port) => {
      const bytes = new Uint8Array(24);
      const numbers = String.fromCharCode(...bytes.slice(0, writeNumbers(bytes, address, port)));
      const wanted = formatAddress(4, Int32Array.of(address));
      t.is(found('227', `227 (${numbers})`), `${wanted} ${port} ${numbers}`);
      const extended = String.fromCharCode(...bytes.slice(0, writeExtended(bytes, port)));
      t.is(found('229 4', `229 (${extended})`), `0.0.0.0 ${port} ${extended}`);
    }),
  );
});

test('nothing looks beyond the end or throws, whatever the text', (t) => {
  const word = fc.constantFrom(
    'PASV\r\n',
    'EPSV',
    'PORT',
    'EPRT ',
    '227 ',
    '229 ',
    '(',
    '|',
    '|2|',
    '1,',
    '2001::',
    '9',
  );
  const text = fc.array(fc.oneof({ weight: 3, arbitrary: word }, fc.string({ maxLength: 3 })), { maxLength: 12 });
  fc.assert(
    fc.property(text, (parts) => {
      const line = parts.join('').replace(/[^\0-\xff]/g, '?');
      passive(line, 4);
      passive(line, 6);
      for (const reader of Object.keys(READERS)) {
        const into = new FtpEndpoint();
        if (READERS[reader]!(line, into)) t.true(into.start < into.end && into.end <= line.length);
      }
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

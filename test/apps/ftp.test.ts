/** The FTP helper in the director: what the recordings do not show. */
import test from 'ava';
import fc from 'fast-check';
import type { ConnectionEntry } from '../../src/index.ts';
import { buildFrame } from '../../src/packet/build.ts';
import type { TcpFields } from '../../src/packet/build-fields.ts';
import { CLIENT, GATEWAY_MAC, Lab, MACS, rs, rsMac, type Sent, tcp, VIP } from '../core/lab.ts';

function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** What a sent frame carries behind headers without options. */
function carried({ frame }: Sent): string {
  return String.fromCharCode(...frame.subarray(54));
}

class FtpLab extends Lab {
  constructor(options: ConstructorParameters<typeof Lab>[0] = {}) {
    super(options);
    this.director.addService(tcp(21), { scheduler: 'rr' });
    this.director.addDestination(tcp(21), { address: rs(11) }, { method: 'masq' });
  }

  open(port = 40000): this {
    this.fromClient('', { flags: 'S', sequence: 0 }, port);
    this.fromServer('', { flags: 'SA', sequence: 0, acknowledgement: 1 }, port);
    this.fromClient('', { sequence: 1, acknowledgement: 1 }, port);
    return this;
  }

  fromClient(data: string, fields: Partial<TcpFields> = {}, port = 40000): Sent[] {
    const defaults = { flags: 'A', sequence: 1, acknowledgement: 1, data: bytes(data) };
    return this.frame({
      ip: { source: CLIENT, destination: VIP },
      tcp: { sourcePort: port, destinationPort: 21, ...defaults, ...fields },
    });
  }

  fromServer(data: string, fields: Partial<TcpFields> = {}, port = 40000, df = false): Sent[] {
    const defaults = { flags: 'A', sequence: 1, acknowledgement: 1, data: bytes(data) };
    return this.frame({
      ethernet: { source: rsMac(11), destination: MACS.eth0! },
      ip: { source: rs(11), destination: CLIENT, df },
      tcp: { sourcePort: 21, destinationPort: port, ...defaults, ...fields },
    });
  }

  list(): string[] {
    const text = ({ state, clientAddress, clientPort, virtualPort, destinationPort }: ConnectionEntry) =>
      `${state} ${clientAddress}:${clientPort} ${virtualPort} ${destinationPort}`;
    return this.director.connections().map(text).sort();
  }
}

test('a passive transfer: the reply names the virtual address, and the data connection goes to the same server', (t) => {
  const lab = new FtpLab().open();
  lab.director.addDestination(tcp(21), { address: rs(12) }, { method: 'masq' });
  lab.fromClient('PASV\r\n');
  const [reply] = lab.fromServer('227 (10,0,0,11,195,80)\r\n');
  t.is(carried(reply!), '227 (10,0,0,100,195,80)\r\n');
  t.deepEqual(lab.list(), ['ESTABLISHED 192.0.2.1:40000 21 21', 'LISTEN 192.0.2.1:0 50000 50000']);
  const [data] = lab.client('S', { port: 41000, toPort: 50000 });
  t.regex(data!.text, /192\.0\.2\.1:41000 > 10\.0\.0\.11:50000/);
});

test('a data connection that nobody makes goes after two minutes, and a control connection stays for it', (t) => {
  const lab = new FtpLab().open();
  lab.director.setTimeouts({ tcp: 10 });
  lab.fromClient('PASV\r\n');
  lab.fromServer('227 (10,0,0,11,195,80)\r\n');
  lab.sleep(11);
  t.is(lab.list().length, 2);
  lab.sleep(111);
  t.deepEqual(lab.list(), ['ESTABLISHED 192.0.2.1:40000 21 21']);
  lab.sleep(61);
  t.deepEqual(lab.list(), []);
  const { activeConns, inactConns } = lab.director.service(tcp(21)).destinations[0]!;
  t.deepEqual([activeConns, inactConns], [0, 0]);
});

test('what a connection had is not another one of the same port', (t) => {
  const lab = new FtpLab().open();
  lab.director.setTimeouts({ tcp: 2 });
  lab.fromClient('PASV\r\n');
  lab.fromServer('227 (10,0,0,11,195,80)\r\n');
  lab.sleep(400);
  t.deepEqual(lab.list(), []);
  lab.open();
  t.is(carried(lab.fromServer('227 (10,0,0,11,195,80)\r\n')[0]!), '227 (10,0,0,11,195,80)\r\n');
  t.regex(lab.fromServer('x', { sequence: 900 })[0]!.text, /seq 900 /);
});

test('a data connection that there is no room for loses the reply', (t) => {
  const lab = new FtpLab({ maxConnections: 1 }).open();
  lab.fromClient('PASV\r\n');
  lab.verdicts();
  t.deepEqual(lab.fromServer('227 (10,0,0,11,195,80)\r\n'), []);
  t.deepEqual(lab.verdicts(), { TABLE_FULL: 1 });
  t.deepEqual(lab.fromClient('PORT 192,0,2,1,15,161\r\n'), []);
  t.deepEqual(lab.verdicts(), { TABLE_FULL: 1 });
});

test('a reply that becomes too large is dropped and its server told', (t) => {
  const lab = new FtpLab().open();
  lab.fromClient('PASV\r\n');
  const text = '227 (10,0,0,11,195,80)';
  lab.verdicts();
  const sent = lab.fromServer(text + 'x'.repeat(1460 - text.length), {}, 40000, true);
  t.deepEqual(lab.verdicts(), { TOO_BIG: 1 });
  t.is(sent.length, 1);
  t.regex(
    sent[0]!.text,
    /10\.0\.0\.1 > 10\.0\.0\.11 .*fragmentation needed mtu 1500 \[IPv4 10\.0\.0\.11:21 > 192\.0\.2\.1:40000/,
  );
});

test('the longest frames a slot holds: none grows into the next one', (t) => {
  const lab = new FtpLab().open();
  const text = '227 (1,1,1,1,1,1)';
  for (let extra = 0; extra <= 40; extra++) {
    lab.fromClient('PASV\r\n');
    const reply = buildFrame({
      ethernet: { source: rsMac(11), destination: MACS.eth0! },
      ip: { source: rs(11), destination: CLIENT },
      tcp: {
        sourcePort: 21,
        destinationPort: 40000,
        flags: 'A',
        sequence: 1,
        data: bytes(text + 'x'.repeat(1400 + extra)),
      },
    });
    const next = buildFrame({
      ethernet: { source: GATEWAY_MAC, destination: MACS.eth0! },
      ip: { source: CLIENT, destination: VIP },
      tcp: { sourcePort: 40000, destinationPort: 21, flags: 'A', sequence: 1, data: bytes('NOOP\r\n') },
    });
    const sent = lab.receive([reply, next]);
    t.is(carried(sent.at(-1)!), 'NOOP\r\n');
  }
});

/** A segment whose last byte was changed on the way. */
function spoiled(to: string, port: number, mac: string, from: string, fromPort: number): Uint8Array {
  const frame = buildFrame({
    ethernet: { source: mac, destination: MACS.eth0! },
    ip: { source: from, destination: to },
    tcp: { sourcePort: fromPort, destinationPort: port, flags: 'A', data: bytes('NOOP\r\n') },
  });
  frame[frame.length - 1]! ^= 0xff;
  return frame;
}

test('segments with a wrong checksum are dropped in both directions, and only on port 21', (t) => {
  const lab = new FtpLab().open();
  lab.director.addService(tcp(80), { scheduler: 'rr' });
  lab.director.addDestination(tcp(80), { address: rs(11) }, { method: 'masq' });
  lab.verdicts();
  t.deepEqual(lab.receive(spoiled(VIP, 21, GATEWAY_MAC, CLIENT, 40000)), []);
  t.deepEqual(lab.receive(spoiled(CLIENT, 40000, rsMac(11), rs(11), 21)), []);
  t.deepEqual(lab.verdicts(), { BAD_CHECKSUM: 2 });
  t.is(lab.client('S').length, 1);
  t.is(lab.receive(spoiled(VIP, 80, GATEWAY_MAC, CLIENT, 40000)).length, 1);
});

test('nothing on a control connection throws, whatever both ends say', (t) => {
  const lab = new FtpLab().open();
  const word = fc.constantFrom(
    'PASV\r\n',
    'EPSV\r\n',
    'PORT 1,2,3,4,',
    'EPRT |1|192.0.2.1|',
    '227 (10,0,0,11,',
    '229 (|||',
    '5,6)',
    '77|)',
    '\r\n',
  );
  const line = fc.array(fc.oneof({ weight: 4, arbitrary: word }, fc.string({ maxLength: 3 })), { maxLength: 8 });
  const segment = fc.record({
    client: fc.boolean(),
    line,
    sequence: fc.nat(0xffffffff),
    options: fc.uint8Array({ maxLength: 12 }),
  });
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 10 }), (segments) => {
      for (const { client, line: parts, sequence, options } of segments) {
        const text = parts.join('').replace(/[^\0-\xff]/g, '?');
        const padded = new Uint8Array(Math.ceil(options.length / 4) * 4);
        padded.set(options);
        const fields = { sequence, options: padded };
        if (client) lab.fromClient(text, fields);
        else lab.fromServer(text, fields);
      }
    }),
    { numRuns: 400 },
  );
  const { received, verdicts } = lab.director.counters();
  t.is(
    Object.values(verdicts).reduce((sum, count) => sum + count, 0),
    received,
  );
});

import { readFileSync } from 'node:fs';
import test from 'ava';
import { formatAddress } from '../../src/address.ts';
import { formatConnections } from '../../src/ipvsadm/connections.ts';
import { formatCounter, formatServices } from '../../src/ipvsadm/format.ts';
import { ipvsadm } from '../../src/ipvsadm/ipvsadm.ts';
import type { ConnectionEntry } from '../../src/services/config.ts';
import { FakeControl } from './fake-control.ts';
import { NAMES } from './recordings.ts';

const PROTOCOLS: Readonly<Record<string, number>> = { IP: 0, TCP: 6, UDP: 17, SCTP: 132 };

function readFixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../../test/ipvsadm/${name}.json`, import.meta.url), 'utf8'));
}

/** An address as /proc/net/ip_vs_conn prints it: eight hexadecimal digits, or eight groups of four. */
function kernelAddress(text: string): { family: 4 | 6; address: string } {
  const digits = text.replaceAll(':', '');
  const words = Int32Array.from(digits.match(/.{8}/g)!, (word) => Number.parseInt(word, 16));
  const family = words.length === 1 ? 4 : 6;
  return { family, address: formatAddress(family, words) };
}

/** An entry out of a line of /proc/net/ip_vs_conn. */
function kernelEntry(line: string): ConnectionEntry {
  const [protocol, from, fromPort, to, toPort, dest, destPort, state, expires, engine = '', engineData = ''] = line
    .trim()
    .split(/\s+/);
  const client = kernelAddress(from);
  const destination = kernelAddress(dest);
  return {
    family: client.family,
    protocol: PROTOCOLS[protocol],
    state,
    expiresInSeconds: Number(expires),
    clientAddress: client.address,
    clientPort: Number.parseInt(fromPort, 16),
    virtualAddress: kernelAddress(to).address,
    virtualPort: Number.parseInt(toPort, 16),
    destinationFamily: destination.family,
    destinationAddress: destination.address,
    destinationPort: Number.parseInt(destPort, 16),
    flags: 0,
    engine,
    engineData,
  };
}

const recorded = readFixture<{ kernel: string[]; listings: Record<string, string> }>('connections');

for (const [command, listing] of Object.entries(recorded.listings)) {
  test(`prints the kernel's connection entries as ipvsadm 1.31 does: ${command}`, (t) => {
    const control = new FakeControl();
    control.connectionEntries = recorded.kernel.map(kernelEntry);
    t.deepEqual(ipvsadm(control, command, '', NAMES), { status: 0, out: listing });
  });
}

interface CounterListing {
  readonly value: number;
  readonly view: 'stats' | 'rate';
  readonly exact: boolean;
  readonly lines: readonly string[];
}

test('prints counters of every size as ipvsadm 1.31 does', (t) => {
  const control = new FakeControl();
  ipvsadm(control, '-A -t 10.0.0.100:80 -s rr');
  ipvsadm(control, '-a -t 10.0.0.100:80 -r 10.0.0.11 -m');
  const [service] = control.services();
  const [server] = service.destinations;
  for (const { value, view, exact, lines } of readFixture<{ listings: CounterListing[] }>('counters').listings) {
    const stats = { conns: value, inPkts: value, outPkts: value, inBytes: value, outBytes: value };
    const rates = { cps: value, inPps: value, outPps: value, inBps: value, outBps: value };
    const counted = { ...server, stats: { ...server.stats, inBytes: value, outBytes: value } };
    const listing = formatServices([{ ...service, stats, rates, destinations: [counted] }], { view, exact });
    t.deepEqual(listing.split('\n').slice(3, 5), lines, `${value} ${view} ${exact ? 'exact' : ''}`);
  }
});

test('prints the rates of servers in full below a million, and per-second bytes shortened', (t) => {
  const control = new FakeControl();
  ipvsadm(control, '-A -t 10.0.0.100:80 -s rr');
  ipvsadm(control, '-a -t 10.0.0.100:80 -r 10.0.0.11 -m');
  const [service] = control.services();
  const rates = { cps: 1, inPps: 22_000_000, outPps: 333, inBps: 444_444_444, outBps: 5 };
  const listing = formatServices([{ ...service, destinations: [{ ...service.destinations[0], rates }] }], {
    view: 'rate',
    heading: false,
  });
  t.is(listing.split('\n')[3], '  -> 10.0.0.11:80                        1 22000000      333  444444K        5');
});

test('shortens counters at the limits of their units', (t) => {
  const shown = [99_999_999, 1e8, 999_999_999, 1e9, 99_999_999_999, 1e11, 99_999_999_999_999, 1e14].map((value) =>
    formatCounter(value).trim(),
  );
  t.deepEqual(shown, ['99999999', '100000K', '999999K', '1000M', '99999M', '100G', '99999G', '100T']);
});

test('tells how full servers are', (t) => {
  const control = new FakeControl();
  ipvsadm(control, '-A -t 10.0.0.100:80 -s rr');
  ipvsadm(control, '-a -t 10.0.0.100:80 -r 10.0.0.11 -w 3 -x 9 -y 4 -m');
  const [service] = control.services();
  const busy = { ...service.destinations[0], activeConns: 1, inactConns: 22, persistConns: 333, method: 1 };
  const server = (view: 'default' | 'thresholds' | 'persistent-conn' | 'tun-info') =>
    formatServices([{ ...service, destinations: [busy] }], { view }).split('\n')[4];
  t.is(server('default'), '  -> 10.0.0.11:80                 Local   3      1          22        ');
  t.is(server('tun-info'), '  -> 10.0.0.11:80                 Local   n/a           3      1          22        ');
  t.is(server('thresholds'), '  -> 10.0.0.11:80                 9          4          1          22        ');
  t.is(server('persistent-conn'), '  -> 10.0.0.11:80                 3         333         1          22        ');
});

test('lists any number of connections', (t) => {
  const entry = kernelEntry('TCP C0000201 9C40 0A000064 0050 0A00000B 1F90 ESTABLISHED    900');
  function* many(): Generator<ConnectionEntry> {
    for (let i = 0; i < 100_000; i++) yield { ...entry, clientPort: i & 0xffff };
  }
  const lines = formatConnections(many()).split('\n');
  t.is(lines.length, 100_003);
  t.is(lines[100_001], 'TCP 15:00  ESTABLISHED 192.0.2.1:34463    10.0.0.100:80      10.0.0.11:8080');
});

test('names protocols that it does not know by their number', (t) => {
  const entry = kernelEntry('TCP C0000201 9C40 0A000064 0050 0A00000B 1F90 NONE    3');
  t.regex(formatConnections([{ ...entry, protocol: 99 }]), /\nIP_99 00:03 {2}NONE /);
});

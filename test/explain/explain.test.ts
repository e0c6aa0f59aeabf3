import test from 'ava';
import { Director, DirectorError, MemoryDevice } from '../../src/index.ts';
import { buildFrame } from '../../src/packet/index.ts';

const CLIENT = '198.51.100.9';
const VIP = '192.0.2.100';

function setUp(...commands: string[]): { director: Director; device: MemoryDevice; sent: Uint8Array[] } {
  const device = new MemoryDevice({ name: 'eth0', mac: '02:00:00:00:00:01' });
  const sent: Uint8Array[] = [];
  device.onTransmit = (frame) => sent.push(frame);
  const director = new Director({
    interfaces: [{ device, addresses: ['192.0.2.1/24'] }],
    routes: [{ to: 'default', via: '192.0.2.254' }],
    neighbours: [11, 12, 254].map((n) => ({
      ip: `192.0.2.${n}`,
      mac: `02:00:00:00:00:${(n & 99).toString().padStart(2, '0')}`,
      dev: 'eth0',
    })),
    forwarding: true,
  });
  for (const command of commands) director.ipvsadm(command);
  return { director: director.start(), device, sent };
}

function syn(sourcePort: number, device: MemoryDevice): Uint8Array {
  return buildFrame({
    ethernet: { source: '02:00:00:00:00:fe', destination: device.mac },
    ip: { source: CLIENT, destination: VIP },
    tcp: { sourcePort, destinationPort: 80 },
  });
}

function textOf(director: Director, packet: string, topic: string): string {
  const step = director.explain(packet).steps.find((one) => one.topic === topic);
  return step === undefined ? '' : [step.text, ...step.details].join('\n');
}

test('packets of others that wait for a MAC address are no part of it', (t) => {
  const { director, device } = setUp(
    `-A -t ${VIP}:80 -s rr`,
    `-a -t ${VIP}:80 -r 192.0.2.21 -g`,
    `-a -t ${VIP}:80 -r 192.0.2.22 -i`,
  );
  device.inject(syn(40001, device));
  director.poll(); // waits for 192.0.2.22's
  const packet = `tcp ${CLIENT}:40002 > ${VIP}:80 S`;
  t.regex(textOf(director, packet, 'neighbour'), /192\.0\.2\.21 is not known/);
  t.notRegex(director.explain(packet).text, /192\.0\.2\.22 is not known|40001/);
  t.is(textOf(director, packet, 'rewrite'), 'TTL 64 becomes 63; the MAC addresses, and nothing else');
});

test('a new connection: service, scheduler with its numbers, rewriting, route, frame', (t) => {
  const { director, sent } = setUp(
    `-A -t ${VIP}:80 -s wlc`,
    `-a -t ${VIP}:80 -r 192.0.2.11 -g -w 3`,
    `-a -t ${VIP}:80 -r 192.0.2.12:8080 -m`,
    `-a -t ${VIP}:80 -r 192.0.2.13 -i -w 0`,
  );
  const { text, verdict, sent: frames, certain, interface: on } = director.explain(`tcp ${CLIENT}:40000 > ${VIP}:80 S`);
  t.is(verdict, 'MASQ');
  t.true(certain);
  t.is(on, 'eth0');
  t.is(frames.length, 1);
  for (const part of [
    /hook +LOCAL_IN: 192\.0\.2\.100/,
    /connection +none from 198\.51\.100\.9:40000 to 192\.0\.2\.100:80 yet/,
    /scheduler +wlc chooses 192\.0\.2\.12:8080/,
    />\s192\.0\.2\.12:8080 +\(256 × 0 active \+ 0 inactive = 0\) \/ weight 1 = 0/,
    /192\.0\.2\.13:80 +weight 0: it gets no new connections/,
    /rewrite +destination 192\.0\.2\.100:80 becomes 192\.0\.2\.12:8080; TTL 64 becomes 63/,
    /route +192\.0\.2\.12 is on the link of eth0; .*PERMANENT/,
    /verdict +MASQ/,
  ]) {
    t.regex(text, part);
  }
  t.is(sent.length, 0);
  t.is(director.connections().length, 0);
  t.is(director.counters().received, 0);
  director.stop();
});

test('a connection that exists, and its reply', (t) => {
  const { director, device } = setUp(`-A -t ${VIP}:80 -s rr`, `-a -t ${VIP}:80 -r 192.0.2.12:8080 -m`);
  device.inject(syn(40000, device));
  director.poll();
  t.regex(textOf(director, `tcp ${CLIENT}:40000 > ${VIP}:80 A`, 'connection'), /^found: TCP .* by Masq\nSYN_RECV/);
  t.regex(textOf(director, `tcp ${CLIENT}:40000 > ${VIP}:80 A`, 'state'), /^becomes ESTABLISHED/);
  t.is(textOf(director, `tcp ${CLIENT}:40000 > ${VIP}:80 A`, 'scheduler'), '');
  const reply = director.explain(`tcp 192.0.2.12:8080 > ${CLIENT}:40000 SA`);
  t.is(reply.verdict, 'REPLY');
  t.regex(reply.text, /source 192\.0\.2\.12:8080 becomes 192\.0\.2\.100:80/);
  director.stop();
});

test('what is often wrong is named', (t) => {
  const { director } = setUp(`-A -t ${VIP}:80 -s rr`, `-A -u ${VIP}:53`, `-a -u ${VIP}:53 -r 192.0.2.11 -g`);
  t.regex(
    textOf(director, `tcp ${CLIENT}:1 > ${VIP}:81`, 'service'),
    /^none on TCP .*:81\nthere is one on TCP 192\.0\.2\.100:80/,
  );
  t.regex(textOf(director, `tcp ${CLIENT}:1 > ${VIP}:80 A`, 'opening'), /takes a SYN/);
  t.regex(textOf(director, `tcp ${CLIENT}:1 > ${VIP}:80`, 'scheduler'), /nobody: the service has no servers/);
  t.regex(textOf(director, 'icmp 192.0.2.9 > 192.0.2.1', 'icmp'), /belongs to no connection/);
  t.is(director.explain(`udp ${CLIENT}:1 > ${VIP}:53`).verdict, 'ROUTE');
  director.stop();
});

test('a template answers for the scheduler', (t) => {
  const { director, device } = setUp(
    `-A -t ${VIP}:80 -s rr -p 300 -M 255.255.255.0`,
    `-a -t ${VIP}:80 -r 192.0.2.11 -g`,
    `-a -t ${VIP}:80 -r 192.0.2.12 -g`,
  );
  t.regex(textOf(director, `tcp ${CLIENT}:1 > ${VIP}:80`, 'template'), /^made: clients like this one/);
  device.inject(syn(40000, device));
  director.poll();
  const { text, steps } = director.explain(`tcp 198.51.100.200:1 > ${VIP}:80`);
  t.false(steps.some(({ topic }) => topic === 'scheduler'));
  t.regex(text, /template +clients of 198\.51\.100\.0 go to 192\.0\.2\.12: no scheduler is asked/);
  director.stop();
});

test('chance and schedulers of one’s own are no certainty', (t) => {
  const { director } = setUp(`-A -t ${VIP}:80 -s twos`, `-a -t ${VIP}:80 -r 192.0.2.11 -g`);
  t.false(director.explain(`tcp ${CLIENT}:1 > ${VIP}:80`).certain);
  let asked = 0;
  const schedule = () => {
    asked++;
    return null;
  };
  const first = { name: 'first', create: () => ({ schedule }) };
  director.editService({ protocol: 'tcp', address: VIP, port: 80 }, { scheduler: first });
  const { certain, text } = director.explain(`tcp ${CLIENT}:1 > ${VIP}:80`);
  t.false(certain);
  t.regex(text, /first is your own and cannot be asked without effect; say it chooses 192\.0\.2\.11:80/);
  t.is(asked, 0);
  director.stop();
});

test('a frame may be given as bytes or in hexadecimal', (t) => {
  const { director, device } = setUp(`-A -t ${VIP}:80 -s rr`, `-a -t ${VIP}:80 -r 192.0.2.11 -g`);
  const frame = syn(7, device);
  const hex = Buffer.from(frame).toString('hex');
  t.is(director.explain(hex).text, director.explain(frame).text);
  t.is(director.explain(hex.replace(/(..)/g, '$1:').slice(0, -1)).verdict, 'ROUTE');
  t.is(director.explain(new Uint8Array(5)).verdict, 'SHORT_FRAME');
  director.stop();
});

for (const [packet, options, option] of [
  ['nonsense', {}, 'packet'],
  [7, {}, 'packet'],
  [`tcp ${CLIENT}:1 > ${VIP}:80`, { interface: 'eth9' }, 'interface'],
  [`tcp ${CLIENT}:1 > ${VIP}:80`, { device: 'eth0' }, 'device'],
] as const) {
  test(`refused: ${packet} ${JSON.stringify(options)}`, (t) => {
    const { director } = setUp();
    const error = t.throws(() => director.explain(packet as string, options as object), { instanceOf: DirectorError });
    t.is(error?.option, option);
    director.stop();
  });
}

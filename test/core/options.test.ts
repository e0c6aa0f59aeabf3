/**
 * The border of the typed API: every option, given anything that it does not take, is refused with an error that names it
 * and the value, and the call changes nothing.
 */
import { isIP } from 'node:net';
import test from 'ava';
import fc from 'fast-check';
import { Director, DirectorError, type DirectorOptions, ManualClock, MemoryDevice } from '../../src/index.ts';
import { CLIENT, GATEWAY, GATEWAY_MAC, Lab, rs, tcp, udp, VIP } from './lab.ts';

/** Whatever a program without types may pass. */
const anything = fc.oneof(
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, withTypedArray: true }),
  fc.double(),
  fc.integer(),
  fc.string(),
  fc.constantFrom<unknown>(
    null,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -1,
    0.5,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    '',
    '80',
    'toString',
    '__proto__',
    Symbol('symbol'),
    () => 80,
    [],
    ['tcp'],
    [80],
    [[]],
    {},
    Object.create(null),
    { valueOf: () => 80 },
    { toString: null },
    { constructor: { name: Symbol('name') } },
    new Proxy({}, {}),
  ),
);

function isInteger(least: number, most: number): (value: unknown) => boolean {
  return (value) => Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
}

function isOneOf(...values: readonly unknown[]): (value: unknown) => boolean {
  return (value) => values.includes(value);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

const isPort = isInteger(0, 65535);
const isAddress = (value: unknown) => typeof value === 'string' && isIP(value) !== 0;
const isPrefix = (value: unknown) =>
  value === 'default' || (typeof value === 'string' && isIP(value.split('/')[0]!) !== 0);
const isMac = (value: unknown) => typeof value === 'string' && /^(..:){5}..$/.test(value);
const isString = (value: unknown) => typeof value === 'string' && value !== '';
const isFunction = (value: unknown) => typeof value === 'function';

/** An option, and a call in which everything else is right. */
interface Case {
  readonly option: string;
  /** Whether the value is one that the option takes. */
  readonly takes: (value: unknown) => boolean;
  readonly call: (director: Director, value: never) => unknown;
  /** Whether it must be given: then `undefined` is wrong too. */
  readonly required?: boolean;
  /** What else than ERR_INVALID_OPTION a wrong value may be called. */
  readonly code?: string;
}

const TCP = tcp();
const RS = { address: rs(11) };

/** All methods that take the key of a service. */
const KEYED: Readonly<Record<string, (director: Director, key: never) => unknown>> = {
  addService: (director, key) => director.addService(key),
  editService: (director, key) => director.editService(key),
  deleteService: (director, key) => director.deleteService(key),
  service: (director, key) => director.service(key),
  zero: (director, key) => director.zero(key),
  addDestination: (director, key) => director.addDestination(key, RS),
  editDestination: (director, key) => director.editDestination(key, RS),
  deleteDestination: (director, key) => director.deleteDestination(key, RS),
};

const KEYS: readonly Omit<Case, 'call'>[] = [
  { option: 'protocol', takes: isOneOf('tcp', 'udp', 'sctp'), required: true },
  { option: 'address', takes: isAddress, required: true },
  { option: 'port', takes: isPort, required: true },
];

const SERVICE_OPTIONS: readonly Omit<Case, 'call'>[] = [
  {
    option: 'scheduler',
    takes: (value) => isOneOf('wlc', 'rr')(value) || isObject(value),
    code: 'ERR_UNKNOWN_SCHEDULER',
  },
  { option: 'persistent', takes: isInteger(0, 31 * 86400) },
  {
    option: 'netmask',
    takes: (value) => isInteger(1, 32)(value) || (typeof value === 'string' && isIP(value) === 4),
  },
  { option: 'engine', takes: isOneOf(''), code: 'ERR_UNKNOWN_ENGINE' },
  { option: 'onePacket', takes: (value) => typeof value === 'boolean' },
  { option: 'schedulerFlags', takes: Array.isArray },
];

const DESTINATION_OPTIONS: readonly Omit<Case, 'call'>[] = [
  { option: 'method', takes: isOneOf('masq', 'tunnel', 'route') },
  { option: 'weight', takes: isInteger(0, 2 ** 31 - 1) },
  { option: 'upperThreshold', takes: isInteger(0, 2 ** 31 - 1) },
  { option: 'lowerThreshold', takes: isInteger(0, 2 ** 31 - 1) },
  { option: 'tunnel', takes: isObject },
];

const TUNNEL_OPTIONS: readonly Omit<Case, 'call'>[] = [
  { option: 'type', takes: isOneOf('ipip', 'gue', 'gre') },
  { option: 'port', takes: isPort },
  { option: 'checksum', takes: isOneOf('none', 'csum', 'remcsum') },
];

const MARK_OPTIONS: readonly Omit<Case, 'call'>[] = [
  { option: 'protocol', takes: isOneOf('tcp', 'udp', 'sctp') },
  { option: 'source', takes: isPrefix },
  { option: 'destination', takes: isPrefix },
  { option: 'sourcePort', takes: (value) => isPort(value) || (Array.isArray(value) && value.every(isPort)) },
  { option: 'destinationPort', takes: (value) => isPort(value) || (Array.isArray(value) && value.every(isPort)) },
  { option: 'mark', takes: isInteger(0, 2 ** 32 - 1), required: true },
];

const DAEMON_OPTIONS: readonly Omit<Case, 'call'>[] = [
  { option: 'role', takes: isOneOf('master', 'backup'), required: true },
  { option: 'mcastInterface', takes: isOneOf('eth0', 'eth1') },
  { option: 'syncId', takes: isInteger(0, 255) },
  { option: 'syncMaxlen', takes: isInteger(0, 65535) },
  { option: 'mcastGroup', takes: isAddress },
  { option: 'mcastPort', takes: isInteger(1, 65535) },
  { option: 'mcastTtl', takes: isInteger(1, 255) },
  { option: 'transport', takes: () => false },
];

const CASES: readonly (Case & { readonly name: string })[] = [
  ...Object.entries(KEYED).flatMap(([method, call]) => [
    { name: method, option: 'service', takes: isObject, required: method !== 'zero', call },
    ...KEYS.map((key) => ({
      ...key,
      name: method,
      call: (director: Director, value: never) => call(director, { ...TCP, [key.option]: value } as never),
    })),
    {
      name: method,
      option: 'fwmark',
      takes: isInteger(1, 2 ** 32 - 1),
      required: true,
      call: (director: Director, value: never) => call(director, { fwmark: value } as never),
    },
    {
      name: method,
      option: 'family',
      takes: isOneOf(4, 6),
      call: (director: Director, value: never) => call(director, { fwmark: 1, family: value } as never),
    },
  ]),
  ...(['addService', 'editService'] as const).flatMap((method) => [
    {
      name: method,
      option: 'options',
      takes: isObject,
      call: (director: Director, value: never) => director[method](method === 'addService' ? udp(99) : TCP, value),
    },
    ...SERVICE_OPTIONS.map((one) => ({
      ...one,
      name: method,
      call: (director: Director, value: never) =>
        director[method](method === 'addService' ? udp(99) : TCP, { [one.option]: value }),
    })),
    {
      name: method,
      option: 'schedulerFlags[1]',
      takes: isOneOf('sh-fallback', 'sh-port', 'mh-fallback', 'mh-port', 'flag-1', 'flag-2', 'flag-3'),
      required: true,
      call: (director: Director, value: never) =>
        director[method](method === 'addService' ? udp(99) : TCP, { schedulerFlags: ['sh-port', value] }),
    },
  ]),
  ...(['addDestination', 'editDestination'] as const).flatMap((method) => {
    const server = method === 'addDestination' ? { address: rs(18) } : RS;
    return [
      {
        name: method,
        option: 'options',
        takes: isObject,
        call: (director: Director, value: never) => director[method](TCP, server, value),
      },
      ...DESTINATION_OPTIONS.map((one) => ({
        ...one,
        name: method,
        call: (director: Director, value: never) => director[method](TCP, server, { [one.option]: value }),
      })),
      ...TUNNEL_OPTIONS.map((one) => ({
        ...one,
        name: method,
        option: `tunnel.${one.option}`,
        call: (director: Director, value: never) =>
          director[method](TCP, server, { method: 'tunnel', tunnel: { [one.option]: value } }),
      })),
    ];
  }),
  ...(['addDestination', 'editDestination', 'deleteDestination'] as const).flatMap((method) => [
    {
      name: method,
      option: 'destination',
      takes: isObject,
      required: true,
      call: (director: Director, value: never) => director[method](TCP, value),
    },
    {
      name: method,
      option: 'destination.address',
      takes: isAddress,
      required: true,
      call: (director: Director, value: never) => director[method](TCP, { address: value }),
    },
    {
      name: method,
      option: 'destination.port',
      takes: isPort,
      call: (director: Director, value: never) => director[method](TCP, { address: rs(11), port: value }),
    },
  ]),
  {
    name: 'setTimeouts',
    option: 'timeouts',
    takes: isObject,
    required: true,
    call: (director, value) => director.setTimeouts(value),
  },
  ...(['tcp', 'tcpfin', 'udp'] as const).map((option) => ({
    name: 'setTimeouts',
    option,
    takes: isInteger(0, 31 * 86400),
    call: (director: Director, value: never) => director.setTimeouts({ tcp: 5, udp: 6, [option]: value }),
  })),
  {
    name: 'marks.add',
    option: 'rule',
    takes: isObject,
    required: true,
    call: (director, value) => director.marks.add(value),
  },
  ...MARK_OPTIONS.map((one) => ({
    ...one,
    name: 'marks.add',
    call: (director: Director, value: never) => director.marks.add({ mark: 1, [one.option]: value }),
  })),
  {
    name: 'sysctl.set',
    option: 'sysctl',
    takes: () => false,
    required: true,
    call: (director, value) => director.sysctl.set(value, 1),
  },
  {
    name: 'sysctl.get',
    option: 'sysctl',
    takes: () => false,
    required: true,
    call: (director, value) => director.sysctl.get(value),
  },
  ...(['sloppy_tcp', 'secure_tcp', 'am_droprate'] as const).map((name, i) => ({
    name: 'sysctl.set',
    option: `sysctl ${name}`,
    // Digits are taken too, as the file in /proc takes them.
    takes: (value: unknown) =>
      isInteger(0, [1, 3, 2 ** 31 - 1][i]!)(typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value),
    required: true,
    call: (director: Director, value: never) => director.sysctl.set(name, value),
  })),
  {
    name: 'startDaemon',
    option: 'options',
    takes: isObject,
    required: true,
    call: (director, value) => director.startDaemon(value),
  },
  ...DAEMON_OPTIONS.map((one) => ({
    ...one,
    name: 'startDaemon',
    call: (director: Director, value: never) => director.startDaemon({ role: 'master', [one.option]: value }),
  })),
  {
    name: 'stopDaemon',
    option: 'role',
    takes: isOneOf('master', 'backup'),
    required: true,
    call: (director, value) => director.stopDaemon(value),
  },
  {
    name: 'onPassed',
    option: 'onPassed',
    takes: (value) => isFunction(value) || value === null,
    required: true,
    call: (director, value) => {
      director.onPassed = value;
    },
  },
];

function state(director: Director): unknown {
  return {
    services: director.services(),
    timeouts: director.getTimeouts(),
    daemons: director.daemons(),
    sysctl: director.sysctl.names().map((name) => director.sysctl.text(name)),
    connections: director.connections(),
    counters: director.counters(),
    onPassed: director.onPassed,
  };
}

function busyLab(): Lab {
  const lab = new Lab();
  const { director } = lab;
  director.addService(TCP, { scheduler: 'sh', schedulerFlags: ['sh-port'], persistent: 60, netmask: '255.255.255.0' });
  director.addDestination(TCP, RS, { method: 'masq', weight: 3, upperThreshold: 10, lowerThreshold: 5 });
  director.addDestination(TCP, { address: rs(12) }, { method: 'tunnel', tunnel: { type: 'gue', port: 6080 } });
  director.addService(udp(), { onePacket: true });
  director.addService({ fwmark: 5 });
  director.setTimeouts({ tcp: 100 });
  lab.client('S');
  return lab;
}

/** The error of a call that must be refused. */
function refusal(call: () => unknown): DirectorError {
  try {
    call();
  } catch (error) {
    if (error instanceof DirectorError) return error;
    throw new Error('another error than a DirectorError', { cause: error });
  }
  throw new Error('taken');
}

function check(error: DirectorError, { option, code }: Pick<Case, 'option' | 'code'>, value: unknown): void {
  if (error.code !== 'ERR_INVALID_OPTION' && error.code !== code) throw new Error(`called ${error.code}`);
  // A scheduler of the user's own is looked into.
  const named = error.option === option || (option === 'scheduler' && error.option!.startsWith('scheduler.'));
  if (!named) throw new Error(`called ${error.option}: ${error.message}`);
  if (!error.message.startsWith(`${error.option}: `)) throw new Error(`says ${error.message}`);
  if (error.option === option && !Object.is(error.value, value))
    throw new Error(`has the value ${String(error.value)}`);
}

for (const one of CASES) {
  test(`${one.name}: ${one.option}`, (t) => {
    const { director } = busyLab();
    const before = state(director);
    const wrong = anything.filter((value) => !one.takes(value) && (one.required === true || value !== undefined));
    fc.assert(
      fc.property(wrong, (value) =>
        check(
          refusal(() => one.call(director, value as never)),
          one,
          value,
        ),
      ),
      { numRuns: 300 },
    );
    t.deepEqual(state(director), before);
  });
}

// ---- The constructor --------------------------------------------------------------------------------------------

const device = () => new MemoryDevice({ name: 'eth0' });

function constructed(options: object): Director {
  return new Director({
    interfaces: [{ device: device(), addresses: ['10.0.0.1/24'] }],
    ...options,
  } as DirectorOptions);
}

const one = (option: string, options: (value: unknown) => object, takes: Case['takes'], required = false) => ({
  option,
  options,
  takes,
  required,
});
const inside = (fields: object) => ({ interfaces: [{ device: device(), ...fields }] });
const deviceLike = (fields: object) => inside({ device: Object.assign(Object.create(device()), fields) });
const route = (fields: object) => ({ routes: [{ to: '192.0.2.0/24', via: '10.0.0.2', ...fields }] });
const neighbour = (fields: object) => ({ neighbours: [{ ip: GATEWAY, mac: GATEWAY_MAC, dev: 'eth0', ...fields }] });

for (const { option, options, takes, required } of [
  one(
    'interfaces',
    (interfaces) => ({ interfaces }),
    (value) => Array.isArray(value) && value.length > 0,
    true,
  ),
  one('interfaces[0]', (value) => ({ interfaces: [value] }), isObject, true),
  one(
    'interfaces[0].device',
    (value) => inside({ device: value }),
    () => false,
    true,
  ),
  one('interfaces[0].name', (name) => inside({ name }), isString),
  one('interfaces[0].vlan', (vlan) => inside({ vlan }), isInteger(1, 4094)),
  one('interfaces[0].addresses', (addresses) => inside({ addresses }), Array.isArray),
  one('interfaces[0].addresses[1]', (value) => inside({ addresses: ['10.0.0.1/24', value] }), isPrefix, true),
  one('interfaces[0].device.mac', (mac) => deviceLike({ mac }), isMac, true),
  one('interfaces[0].device.mtu', (mtu) => deviceLike({ mtu }), isInteger(68, 65535)),
  one('routes', (routes) => ({ routes }), Array.isArray),
  one('routes[0]', (value) => ({ routes: [value] }), isObject, true),
  one('routes[0].to', (to) => route({ to }), isPrefix, true),
  one('routes[0].via', (via) => route({ via }), isAddress),
  one('routes[0].dev', (dev) => route({ dev }), isOneOf('eth0')),
  one('neighbours', (neighbours) => ({ neighbours }), Array.isArray),
  one('neighbours[0]', (value) => ({ neighbours: [value] }), isObject, true),
  one('neighbours[0].ip', (ip) => neighbour({ ip }), isAddress, true),
  one('neighbours[0].mac', (mac) => neighbour({ mac }), isMac, true),
  one('neighbours[0].dev', (dev) => neighbour({ dev }), isOneOf('eth0'), true),
  one(
    'forwarding',
    (forwarding) => ({ forwarding }),
    (value) => typeof value === 'boolean',
  ),
  one(
    'claimVips',
    (claimVips) => ({ claimVips }),
    (value) => typeof value === 'boolean',
  ),
  one(
    'spin',
    (spin) => ({ spin }),
    (value) => typeof value === 'boolean',
  ),
  one('maxConnections', (maxConnections) => ({ maxConnections }), isInteger(1, 2 ** 25)),
  one(
    'icmpErrorsPerSecond',
    (icmpErrorsPerSecond) => ({ icmpErrorsPerSecond }),
    (value) => typeof value === 'number' && value >= 0,
  ),
  one(
    'clock',
    (clock) => ({ clock }),
    () => false,
  ),
  one('random', (random) => ({ random }), isFunction),
  one('schedulers', (schedulers) => ({ schedulers }), Array.isArray),
  one('schedulers[0]', (value) => ({ schedulers: [value] }), isObject, true),
]) {
  test(`new Director: ${option}`, (t) => {
    const wrong = anything.filter((value) => !takes(value) && (required || value !== undefined));
    fc.assert(
      fc.property(wrong, (value) =>
        check(
          refusal(() => constructed(options(value))),
          { option },
          value,
        ),
      ),
      { numRuns: 150 },
    );
    t.pass();
  });
}

test('new Director: options', (t) => {
  for (const value of [undefined, null, 1, 'x', Symbol('s')]) {
    const error = refusal(() => new Director(value as never));
    t.is(error.code, 'ERR_INVALID_OPTION');
    t.is(error.option, 'options');
  }
});

for (const { option, options, takes, required } of [
  one('name', (name) => ({ name }), isString, true),
  one('mac', (mac) => ({ name: 'eth0', mac }), isMac),
  one('mtu', (mtu) => ({ name: 'eth0', mtu }), isInteger(68, 65535)),
  one('capacity', (capacity) => ({ name: 'eth0', capacity }), isInteger(1, 65536)),
]) {
  test(`new MemoryDevice: ${option}`, (t) => {
    const wrong = anything.filter((value) => !takes(value) && (required || value !== undefined));
    fc.assert(
      fc.property(wrong, (value) => {
        const call = () => new MemoryDevice(options(value) as never);
        check(refusal(call), { option }, value);
      }),
    );
    t.pass();
  });
}

// ---- Options that are wrong together ----------------------------------------------------------------------------

type Refused = readonly [what: string, option: string, call: (director: Director) => void];

const TOGETHER: readonly Refused[] = [
  ['port 0 without persistence', 'port', (director) => director.addService(tcp(0, rs(1)))],
  ['a service on port 0 that would lose its persistence', 'port', (director) => director.editService(tcp(0), {})],
  ['one packet at a time over TCP', 'onePacket', (director) => director.editService(TCP, { onePacket: true })],
  [
    'a lower threshold above the upper one',
    'lowerThreshold',
    (director) => director.editDestination(TCP, RS, { upperThreshold: 5, lowerThreshold: 6 }),
  ],
  [
    'a lower threshold alone',
    'lowerThreshold',
    (director) => director.addDestination(TCP, { address: rs(18) }, { lowerThreshold: 1 }),
  ],
  [
    'GUE without a port',
    'tunnel.port',
    (director) => director.addDestination(TCP, { address: rs(18) }, { method: 'tunnel', tunnel: { type: 'gue' } }),
  ],
  ...['0.0.0.0', '224.0.0.1', '255.255.255.255', '10.0.0.255'].map(
    (address): Refused => [
      `a server at ${address}`,
      'destination.address',
      (director) => director.addDestination(TCP, { address }),
    ],
  ),
  ...['::', '::ffff:10.0.0.11', 'fe80::1', 'febf::1', 'ff02::1'].map(
    (address): Refused => [
      `a server at ${address}`,
      'destination.address',
      (director) => director.addDestination(TCP, { address }, { method: 'tunnel' }),
    ],
  ),
  [
    'an IPv6 server of an IPv4 service, by DR',
    'destination.address',
    (d) => d.addDestination(TCP, { address: '2001:db8::b' }),
  ],
  [
    'an IPv6 server of an IPv4 service that leaves its tunnel',
    'destination.address',
    (director) => director.editDestination(udp(), { address: '2001:db8::c' }, { method: 'route' }),
  ],
  [
    'marks by addresses of two families',
    'destination',
    (d) => d.marks.add({ source: CLIENT, destination: '::1', mark: 1 }),
  ],
  ['a range of ports that ends before it begins', 'sourcePort', (d) => d.marks.add({ sourcePort: [2, 1], mark: 1 })],
  ['half a range of ports', 'sourcePort', (d) => d.marks.add({ sourcePort: [80] as never, mark: 1 })],
];

for (const [what, option, call] of TOGETHER) {
  test(`refused: ${what}`, (t) => {
    const { director } = busyLab();
    director.addService(tcp(0), { persistent: 60 });
    director.addDestination(udp(), { address: '2001:db8::c' }, { method: 'tunnel' });
    const before = state(director);
    const error = refusal(() => call(director));
    t.is(error.code, 'ERR_INVALID_OPTION');
    t.is(error.option, option);
    t.deepEqual(state(director), before);
  });
}

for (const [what, option, options] of [
  ['two interfaces of one name', 'interfaces[1].name', { interfaces: [{ device: device() }, { device: device() }] }],
  ['a gateway that is on no link', 'routes[0].via', route({ via: '172.16.0.1' })],
  ['a gateway of the other family', 'routes[0].via', route({ via: '::1' })],
  ['a route that leads nowhere', 'routes[0].dev', { routes: [{ to: '192.0.2.0/24' }] }],
  ['a prefix length that is too long', 'interfaces[0].addresses[0]', inside({ addresses: ['10.0.0.1/33'] })],
] as const) {
  test(`new Director, refused: ${what}`, (t) => {
    const error = refusal(() => constructed(options));
    t.is(error.code, 'ERR_INVALID_OPTION');
    t.is(error.option, option);
  });
}

test('two interfaces on one VLAN of one device are refused', (t) => {
  const shared = device();
  const error = refusal(() => new Director({ interfaces: [{ device: shared }, { device: shared, name: 'other' }] }));
  t.is(error.option, 'interfaces[1].name');
});

// ---- What is not there, or there already ------------------------------------------------------------------------

for (const [code, call] of [
  ['ERR_SERVICE_EXISTS', (director: Director) => director.addService(TCP, { scheduler: 'rr' })],
  ['ERR_NO_SUCH_SERVICE', (director: Director) => director.editService(tcp(1))],
  ['ERR_NO_SUCH_SERVICE', (director: Director) => director.deleteService({ fwmark: 6 })],
  ['ERR_NO_SUCH_SERVICE', (director: Director) => director.zero(udp(1))],
  ['ERR_NO_SUCH_SERVICE', (director: Director) => director.addDestination(tcp(1), RS)],
  ['ERR_DESTINATION_EXISTS', (director: Director) => director.addDestination(TCP, RS, { weight: 9 })],
  ['ERR_NO_SUCH_DESTINATION', (director: Director) => director.editDestination(TCP, { address: rs(18) })],
  ['ERR_NO_SUCH_DESTINATION', (director: Director) => director.deleteDestination(TCP, { address: rs(11), port: 81 })],
  ['ERR_NO_DAEMON', (director: Director) => director.stopDaemon('backup')],
] as const) {
  test(`${code}: ${String(call).replace(/.*=> director\./, '')}`, (t) => {
    const { director } = busyLab();
    const before = state(director);
    t.is(refusal(() => call(director)).code, code);
    t.deepEqual(state(director), before);
  });
}

test('a device that another director holds is refused, and the rest is left alone', (t) => {
  const [free, taken] = [new MemoryDevice({ name: 'free' }), new MemoryDevice({ name: 'taken' })];
  const clock = new ManualClock();
  const first = new Director({ interfaces: [{ device: taken }], clock }).start();
  const second = new Director({ interfaces: [{ device: free }, { device: taken }], clock });
  t.is(refusal(() => second.start()).code, 'ERR_DEVICE');
  t.is(refusal(() => second.start()).code, 'ERR_CLOSED');
  t.is(first.poll(), 0);
  t.is(VIP, '10.0.0.100');
});

test('options that are none are refused, so that a misspelt one is noticed', (t) => {
  const device = new MemoryDevice({ name: 'eth0' });
  const { director } = new Lab();
  director.addService(tcp());
  const misspelt: readonly (readonly [option: string, call: (options: object) => unknown, options: object])[] = [
    ['forwardin', (more) => new Director({ interfaces: [{ device }], ...more }), { forwardin: true }],
    ['interfaces[0].adresses', (more) => new Director({ interfaces: [{ device, ...more }] }), { adresses: [] }],
    ['schedular', (more) => director.addService(tcp(81), more), { schedular: 'rr' }],
    ['schedular', (more) => director.editService(tcp(), more), { schedular: 'rr' }],
    ['wieght', (more) => director.addDestination(tcp(), { address: rs(11) }, more), { wieght: 0 }],
    ['tunnel.typ', (more) => director.addDestination(tcp(), { address: rs(11) }, { tunnel: more }), { typ: 'gue' }],
    ['dport', (more) => director.marks.add({ mark: 1, ...more }), { dport: 80 }],
    ['fin', (more) => director.setTimeouts(more), { fin: 60 }],
    ['syncid', (more) => director.startDaemon({ role: 'master', ...more }), { syncid: 3 }],
  ];
  for (const [option, call, options] of misspelt) {
    t.like(
      t.throws(() => call(options)),
      { code: 'ERR_INVALID_OPTION', option, value: Object.values(options)[0] },
    );
  }
  t.is(director.services().length, 1);
  t.deepEqual(director.service(tcp()).destinations, []);
});

test('what a listing gives can be used as a key', (t) => {
  const { director } = new Lab();
  director.addService(tcp(), { scheduler: 'rr' });
  director.addService({ fwmark: 7, family: 6 });
  director.addDestination(tcp(), { address: rs(11) });
  for (const service of director.services()) {
    t.deepEqual(director.service(service), service);
    for (const destination of service.destinations) director.deleteDestination(service, destination);
    director.deleteService(service);
  }
  t.deepEqual(director.services(), []);
});

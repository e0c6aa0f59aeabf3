import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { Decapsulator } from '../../examples/lab/decapsulator.ts';
import { MemoryDevice } from '../../src/devices/memory.ts';
import { buildFrame, buildPacket } from '../../src/packet/index.ts';

const PROGRAM = '02:00:00:00:00:02';
const SERVER = '02:00:00:00:00:03';

const toProgram = { source: SERVER, destination: PROGRAM };
const toServer = { source: PROGRAM, destination: SERVER };
const outer = { source: '192.168.50.31', destination: '192.168.60.22' };
const inner = buildPacket({
  ip: { source: '192.168.20.17', destination: '192.168.50.100' },
  tcp: { sourcePort: 40000, destinationPort: 80 },
});

/** What the decapsulator sends when it is given the frames. */
async function unwrap(...frames: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const device = new MemoryDevice({ name: 'tunl1', mac: PROGRAM });
  const sent: Uint8Array[] = [];
  device.onTransmit = (frame) => {
    sent.push(Uint8Array.from(frame));
  };
  const decapsulator = new Decapsulator(device, (error) => {
    throw error;
  });
  for (const frame of frames) device.inject(frame);
  await turn();
  decapsulator.close();
  return sent;
}

test('the inner packet goes back to where the outer one came from', async (t) => {
  const sent = await unwrap(buildFrame({ ethernet: toProgram, ip: outer, payload: inner }));
  t.deepEqual(sent, [buildFrame({ ethernet: { ...toServer, type: 0x0800 }, payload: inner })]);
});

test('options of the outer header come off too', async (t) => {
  const ip = { ...outer, options: Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 0) };
  const sent = await unwrap(buildFrame({ ethernet: toProgram, ip, payload: inner }));
  t.deepEqual(sent, [buildFrame({ ethernet: { ...toServer, type: 0x0800 }, payload: inner })]);
});

test('more packets than fit into one burst are all unwrapped, in order', async (t) => {
  const inners = Array.from({ length: 100 }, (_, id) =>
    buildPacket({ ip: { source: '192.168.20.17', destination: '192.168.50.100', id }, payload: `packet ${id}` }),
  );
  const sent = await unwrap(...inners.map((payload) => buildFrame({ ethernet: toProgram, ip: outer, payload })));
  t.deepEqual(
    sent,
    inners.map((payload) => buildFrame({ ethernet: { ...toServer, type: 0x0800 }, payload })),
  );
});

test('what carries no packet within a packet is left alone', async (t) => {
  const wrapped = buildFrame({ ethernet: toProgram, ip: outer, payload: inner });
  const sent = await unwrap(
    buildFrame({ ethernet: toProgram, ip: outer, udp: { sourcePort: 1, destinationPort: 2, data: 'x'.repeat(40) } }),
    buildFrame({ ethernet: { ...toProgram, type: 0x86dd }, payload: inner }),
    buildFrame({ ethernet: toProgram, arp: { senderMac: SERVER, senderIp: '10.0.0.1', targetIp: '10.0.0.2' } }),
    wrapped.slice(0, 14),
    wrapped.slice(0, 53),
    Uint8Array.from(wrapped.slice(0, 60), (byte, i) => (i === 14 ? 0x4f : byte)),
  );
  t.deepEqual(sent, []);
});

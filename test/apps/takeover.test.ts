/** A backup takes over what helpers and persistence engines know of connections. */
import test from 'ava';
import type { SyncReceive, SyncTransport } from '../../src/index.ts';
import { CLIENT, Lab, MACS, rs, rsMac, tcp, udp, VIP } from '../core/lab.ts';

/** Carries messages from one director to the other, in memory. */
class Cable implements SyncTransport {
  readonly name = 'cable';
  readonly mtu = 1500;
  #receive: SyncReceive | null = null;

  openSender() {
    return {
      send: (bytes: Uint8Array, length: number) =>
        this.#receive?.(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, length),
      close() {},
    };
  }

  openReceiver(_endpoint: unknown, receive: SyncReceive) {
    this.#receive = receive;
    return { close() {} };
  }
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** A master and its backup, with the same services. */
function pair(): readonly [Lab, Lab] {
  const labs = [new Lab(), new Lab()] as const;
  const transport = new Cable();
  for (const { director } of labs) {
    director.sysctl.set('sync_threshold', '0 1');
    director.addService(tcp(21), { scheduler: 'rr' });
    director.addDestination(tcp(21), { address: rs(11) }, { method: 'masq' });
    director.addService(udp(5060), { scheduler: 'rr', persistent: 300, engine: 'sip' });
    for (const n of [11, 12]) director.addDestination(udp(5060), { address: rs(n) }, { method: 'masq' });
  }
  labs[1].director.startDaemon({ role: 'backup', transport });
  labs[0].director.startDaemon({ role: 'master', transport });
  return labs;
}

function fromServer(lab: Lab, data: string, flags: string, sequence: number, acknowledgement: number): string {
  const [sent] = lab.frame({
    ethernet: { source: rsMac(11), destination: MACS.eth0! },
    ip: { source: rs(11), destination: CLIENT },
    tcp: { sourcePort: 21, destinationPort: 40000, flags, sequence, acknowledgement, data: bytes(data) },
  });
  return sent!.text;
}

function fromClient(lab: Lab, data: string, flags: string, sequence: number, acknowledgement: number): string {
  const [sent] = lab.frame({
    ip: { source: CLIENT, destination: VIP },
    tcp: { sourcePort: 40000, destinationPort: 21, flags, sequence, acknowledgement, data: bytes(data) },
  });
  return sent!.text;
}

test('the sequence numbers of an FTP control connection go on', (t) => {
  const [master, backup] = pair();
  fromClient(master, '', 'S', 0, 0);
  fromServer(master, '', 'SA', 0, 1);
  fromClient(master, '', 'A', 1, 1);
  fromClient(master, 'PASV\r\n', 'A', 1, 1);
  fromServer(master, '227 (10,0,0,11,195,80)\r\n', 'A', 1, 7);
  t.regex(fromClient(master, '', 'A', 7, 26), /ack 25 /);
  master.sleep(5);
  t.regex(fromClient(backup, '', 'A', 7, 26), /ack 25 /);
  t.regex(fromServer(backup, '200\r\n', 'A', 25, 7), /seq 26 /);
});

test('the calls of a SIP service stay with their servers', (t) => {
  const [master, backup] = pair();
  const call = (lab: Lab, id: string, port: number) =>
    / > (10\.0\.0\.1[12]):/.exec(
      lab.datagram({ toPort: 5060, port }, { data: bytes(`x\r\ni:${id}\r\n`) })[0]!.text,
    )![1];
  const servers = ['a', 'b', 'c'].map((id, i) => call(master, id, 1000 + i));
  t.deepEqual(servers, [rs(12), rs(11), rs(12)]);
  master.sleep(5);
  t.deepEqual(
    ['b', 'c', 'a'].map((id, i) => call(backup, id, 2000 + i)),
    [rs(11), rs(12), rs(12)],
  );
  const { refused } = backup.director.counters().sync.backup!;
  t.is(refused.ENGINE, 0);
});

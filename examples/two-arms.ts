/**
 * A director between two networks of the kernel's, with NAT and real `curl`: each of its TAPs is opened inside another
 * network namespace, whose kernel is the host at the other end of that wire. Needs root, `ip` and `curl`:
 * `npm run example -- two-arms`.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { Director, TapDevice } from '../src/index.ts';

const client = `tapvs-client-${process.pid}`;
const server = `tapvs-server-${process.pid}`;
const ip = (line: string): void => void execFileSync('ip', line.split(' '));

/** Programs of the server's namespace: one page on each of two ports. */
const SERVE = `
  for (const port of [8081, 8082]) {
    require('node:http').createServer((_, answer) => answer.end('port ' + port + '\\n')).listen(port, () => {
      if (port === 8082) console.log('ready');
    });
  }`;

const undo: (() => void)[] = [];
try {
  for (const namespace of [client, server]) {
    ip(`netns add ${namespace}`);
    undo.unshift(() => ip(`netns del ${namespace}`));
  }

  const outside = TapDevice.open({ name: 'wire0', namespace: client });
  const inside = TapDevice.open({ name: 'wire0', namespace: server });
  undo.unshift(
    () => outside.close(),
    () => inside.close(),
  );
  ip(`-n ${client} address add 192.0.2.17/24 dev wire0`);
  ip(`-n ${server} address add 198.51.100.11/24 dev wire0`);
  ip(`-n ${server} route add default via 198.51.100.1`);

  const director = new Director({
    interfaces: [
      { device: outside, name: 'outside', addresses: ['192.0.2.1/24'] },
      { device: inside, name: 'inside', addresses: ['198.51.100.1/24'] },
    ],
    forwarding: true, // the servers' replies are not for the director: it is their router
  });
  undo.unshift(() => director.stop());
  director.ipvsadm('-A -t 192.0.2.100:80 -s wrr');
  director.ipvsadm('-a -t 192.0.2.100:80 -r 198.51.100.11:8081 -m -w 1');
  director.ipvsadm('-a -t 192.0.2.100:80 -r 198.51.100.11:8082 -m -w 2');
  director.start();

  const pages = spawn('ip', ['netns', 'exec', server, process.execPath, '-e', SERVE]);
  undo.unshift(() => pages.kill());
  await once(pages.stdout, 'data');

  for (let i = 0; i < 6; i++) {
    // Not execFileSync: the director lives in this process, and must get its turn while curl waits.
    const curl = ['netns', 'exec', client, 'curl', '-s', '--max-time', '5', 'http://192.0.2.100/'];
    process.stdout.write((await promisify(execFile)('ip', curl)).stdout);
  }
  console.log(director.ipvsadm('-L -n --stats').out);
} finally {
  for (const step of undo) step();
}

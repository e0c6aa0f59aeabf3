/** Start scripts as people write them for LVS: their lines run as they stand, with our ipvsadm first in the PATH. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { testWithTaps } from '../devices/support/namespace.ts';
import { finish, Site } from './support/daemon.ts';
import { Lan } from './support/lan.ts';
import { commandFile } from './support/program.ts';

/** A DR director's script: `start` makes two services with two servers, `stop` clears the table. */
const SCRIPT = `#!/bin/bash
VIP=192.0.2.100
RS1=192.0.2.11
RS2=192.0.2.12
PORT1=80
PORT2=443
scheduler=rr
case $1 in
start)
  ipvsadm -C
  ipvsadm -A -t \${VIP}:\${PORT1} -s \${scheduler}
  ipvsadm -a -t \${VIP}:\${PORT1} -r \${RS1} -g
  ipvsadm -a -t \${VIP}:\${PORT1} -r \${RS2} -g
  ipvsadm -A -t \${VIP}:\${PORT2} -s \${scheduler}
  ipvsadm -a -t \${VIP}:\${PORT2} -r \${RS1} -g
  ipvsadm -a -t \${VIP}:\${PORT2} -r \${RS2} -g
  ;;
stop)
  ipvsadm -C
  ;;
esac
`;

testWithTaps('a start script sets up services that serve, and its stop takes them down', async (t) => {
  const site = new Site(t);
  const lan = new Lan(t, site);
  for (const name of ['one', 'two'] as const) await lan.serve(name, [80, 443]);
  site.write(lan.interfaces);
  await site.start(t);
  lan.plugIn();
  const bin = join(site.folder, 'bin');
  mkdirSync(bin);
  for (const name of ['ipvsadm', 'ipvsadm-save', 'ipvsadm-restore']) {
    writeFileSync(join(bin, name), `#!/bin/sh\nexec '${process.execPath}' '${commandFile(name)}' "$@"\n`);
    chmodSync(join(bin, name), 0o755);
  }
  const script = join(site.folder, 'lvs_dr.sh');
  writeFileSync(script, SCRIPT);
  const env = { PATH: `${bin}:${process.env.PATH}`, TAPVS_SOCKET: site.socket };

  t.deepEqual(await finish(['bash', script, 'start'], env), { status: 0, stdout: '', stderr: '' });
  const listed = await finish(['sh', '-c', 'ipvsadm -Ln'], env);
  t.deepEqual(
    listed.stdout.split('\n').map((line) => line.trimEnd()),
    [
      'IP Virtual Server version 1.2.1 (size=4096)',
      'Prot LocalAddress:Port Scheduler Flags',
      '  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn',
      'TCP  192.0.2.100:80 rr',
      '  -> 192.0.2.11:80                Route   1      0          0',
      '  -> 192.0.2.12:80                Route   1      0          0',
      'TCP  192.0.2.100:443 rr',
      '  -> 192.0.2.11:443               Route   1      0          0',
      '  -> 192.0.2.12:443               Route   1      0          0',
      '',
    ],
  );
  for (const port of [80, 443]) t.deepEqual(await lan.answers(port), ['one', 'two']);

  // What a save script kept comes back.
  const roundTrip = 'ipvsadm-save -n > "$0"; ipvsadm -C; ipvsadm-restore < "$0"; ipvsadm -Sn | diff "$0" -';
  t.is((await finish(['sh', '-c', roundTrip, join(site.folder, 'saved')], env)).stdout, '');
  t.deepEqual(await finish(['bash', script, 'stop'], env), { status: 0, stdout: '', stderr: '' });
  t.deepEqual(await lan.answers(80), ['curl: 28'], 'nobody has the address any more');
  t.is((await site.ipvsadm('-S')).stdout, '');
});

import { readdirSync, readFileSync } from 'node:fs';
import type { Control } from '../../src/ipvsadm/control.ts';
import { ipvsadm } from '../../src/ipvsadm/ipvsadm.ts';
import { FileNames } from '../../src/ipvsadm/names.ts';
import { USAGE } from '../../src/ipvsadm/usage.ts';
import { Shell } from '../conformance/shell.ts';

/** A command line and what the real ipvsadm answered. */
export interface Step {
  readonly exec: string;
  /** What the command read; absent: nothing. */
  readonly stdin?: string;
  readonly status: number;
  readonly out: string;
  /** The program's usage text followed `out`: ours follows it here. */
  readonly usage?: boolean;
}

export interface Recording {
  readonly name: string;
  readonly about: string;
  readonly steps: readonly Step[];
}

const FIXTURES = new URL('../../../test/', import.meta.url);

/** The names that the machine of the recordings knew. */
export const NAMES: FileNames = new FileNames(
  () => `127.0.0.1 localhost
10.0.0.100 www.example.com www vip
10.0.0.11 node1
10.0.0.12 node2.a-rather-long-domain-name.example.com
2001:db8::100 six.example.com
2001:db8::b node1-6
`,
  () => `tcpmux 1/tcp # TCP port service multiplexer
ftp 21/tcp
ssh 22/tcp
telnet 23/tcp
domain 53/tcp
domain 53/udp
http 80/tcp www
ntp 123/udp
https 443/tcp
https 443/udp
shell 514/tcp cmd syslog
syslog 514/udp
sip 5060/tcp
sip 5060/udp
sip-tls 5061/tcp
sip-tls 5061/udp
mdns 5353/udp
afs3-fileserver 7000/tcp bbs
afs3-fileserver 7000/udp
http-alt 8080/tcp webcache
`,
);

/** Reads the recordings of a directory under `test/`, or the named ones of them. */
export function readRecordings(directory: string, ...names: string[]): Recording[] {
  const url = new URL(`${directory}/`, FIXTURES);
  const files = names.length > 0 ? names.map((name) => `${name}.json`) : readdirSync(url).sort();
  return files.map((file) => JSON.parse(readFileSync(new URL(file, url), 'utf8')));
}

/** The order in which the kernel keeps services is its own: with `--nosort` only the lines themselves count. */
function comparable(exec: string, out: string): string {
  return exec.includes('--nosort') ? out.split('\n').sort().join('\n') : out;
}

/**
 * Plays a recording on a fresh control.
 * @param adapt makes what was recorded what is expected (deliberate differences).
 * @returns the steps that went differently, as text; empty when all agree byte for byte.
 */
export function play(recording: Recording, control: Control, adapt: (out: string) => string = (out) => out): string[] {
  let typed = '';
  const shell = new Shell({
    ipvsadm: (words, piped) => ipvsadm(control, ['ipvsadm', ...words], piped || typed, NAMES),
  });
  return recording.steps.flatMap((step) => {
    typed = step.stdin ?? '';
    const got = shell.run(step.exec);
    const want = comparable(step.exec, adapt(step.out) + (step.usage ? USAGE : ''));
    const out = comparable(step.exec, got.out);
    if (got.status === step.status && out === want) return [];
    return [`${step.exec}\n  want ${step.status} ${JSON.stringify(want)}\n  got  ${got.status} ${JSON.stringify(out)}`];
  });
}

/** `tapvs top` in a real terminal (tmux): what is on its screen, and that it is afterwards as it was. */
import { execFileSync } from 'node:child_process';
import type { ExecutionContext } from 'ava';
import { Namespace, testWithTaps } from '../devices/support/namespace.ts';
import { finish, Site } from './support/daemon.ts';
import { commandFile, until } from './support/program.ts';

const TAPVS = [process.execPath, commandFile('tapvs')];

/** A terminal of 80 by 24 with a shell in it. */
class Screen {
  readonly #server = `tapvs-top-${process.pid}`;

  constructor(t: ExecutionContext, env: NodeJS.ProcessEnv) {
    t.teardown(() => this.#tmux('kill-server'));
    const options = { env: { ...process.env, ...env, TERM: 'xterm', PS1: '$ ' } };
    const words = ['-L', this.#server, '-f', '/dev/null', 'new-session', '-d', '-x', '80', '-y', '24', 'sh'];
    execFileSync('tmux', words, options);
  }

  #tmux(...words: readonly string[]): string {
    return execFileSync('tmux', ['-L', this.#server, ...words], { encoding: 'utf8', stdio: 'pipe' });
  }

  type(...keys: readonly string[]): void {
    this.#tmux('send-keys', ...keys);
  }

  get text(): string {
    return this.#tmux('capture-pane', '-p');
  }

  /** Whether the alternate screen is shown, and the cursor. */
  get modes(): string {
    return this.#tmux('display-message', '-p', '#{alternate_on} #{cursor_flag} #{wrap_flag}').trim();
  }

  resize(width: number, height: number): void {
    this.#tmux('resize-window', '-x', String(width), '-y', String(height));
  }

  async shows(pattern: RegExp): Promise<void> {
    await until(
      () => pattern.test(this.text),
      () => `${pattern} in\n${this.text}`,
    );
  }
}

testWithTaps('the screen follows the director, and the terminal is given back', async (t) => {
  const site = new Site(t);
  const namespace = new Namespace(t);
  const servers = Array.from({ length: 40 }, (_, i) => ({ address: `192.0.2.${100 + i}` }));
  site.write({
    devices: [{ type: 'tap', name: 'wire0', namespace: namespace.name }],
    interfaces: [{ device: 'wire0', addresses: ['192.0.2.1/24'] }],
    services: [{ protocol: 'tcp', address: '192.0.2.50', port: 80, scheduler: 'rr', servers }],
  });
  const director = await site.start(t);
  const screen = new Screen(t, { TAPVS_SOCKET: site.socket });
  const command = TAPVS.map((word) => `'${word}'`).join(' ');
  screen.type('echo before-it; stty -a | md5sum', 'Enter');
  await screen.shows(/before-it\n[0-9a-f]{32}/);
  const [, modes] = /\n([0-9a-f]{32})/.exec(screen.text)!;
  screen.type(`${command} top --interval 0.2`, 'Enter');
  await screen.shows(/^tapvs {2}1 services, 40 servers +every 0\.2 s$/m);
  await screen.shows(/^tcp 192\.0\.2\.50:80 +rr +0 +0 +0 +0 +0$/m);
  t.is(screen.modes, '1 0 0');
  t.regex(screen.text, /^ {2}192\.0\.2\.139:80 +Route +1 +0 +0 +0 +0 +0$/m);
  t.notRegex(screen.text, /192\.0\.2\.100:80/);
  screen.type('NPage', 'NPage', 'NPage', 'NPage', 'NPage');
  await screen.shows(/^ {2}192\.0\.2\.100:80 +Route/m);
  t.regex(screen.text, /^service, servers +method/m);
  screen.type('Home');
  await screen.shows(/^ {2}192\.0\.2\.139:80/m);

  await site.ipvsadm('-A -u 192.0.2.50:53');
  await site.ipvsadm('-e -t 192.0.2.50:80 -r 192.0.2.139 -w 0');
  await screen.shows(/^udp 192\.0\.2\.50:53 +wlc/m);
  await screen.shows(/^ {2}192\.0\.2\.139:80 +Route +0 /m);
  screen.resize(120, 60);
  await screen.shows(/^ {2}192\.0\.2\.100:80 +Route/m);
  screen.resize(80, 24);

  await director.end();
  await screen.shows(/^tapvs .* No director is running$/m);
  await site.start(t);
  await screen.shows(/^tapvs .* every 0\.2 s$/m);

  for (const end of ['q', 'C-c']) {
    screen.type(end);
    await screen.shows(/^before-it$/m);
    t.is(screen.modes, '0 1 1', end);
    screen.type('clear; echo before-it; stty -a | md5sum', 'Enter');
    await screen.shows(new RegExp(`^${modes}`, 'm'));
    if (end === 'C-c') break;
    screen.type(`${command} top`, 'Enter');
    await screen.shows(/every 1 s$/m);
  }
});

testWithTaps('where there is no terminal it is text', async (t) => {
  const site = new Site(t);
  const namespace = new Namespace(t);
  site.write({
    devices: [{ type: 'tap', name: 'wire0', namespace: namespace.name }],
    interfaces: [{ device: 'wire0', addresses: ['192.0.2.1/24'] }],
  });
  const env = { TAPVS_SOCKET: site.socket };
  const nobody = await finish([...TAPVS, 'top', '--once'], env);
  t.is(nobody.status, 2);
  t.regex(nobody.stderr, /No director is running/);
  await site.start(t);
  const { status, stdout, stderr } = await finish([...TAPVS, 'top', '-i', '0.2'], env);
  t.is(status, 0, stderr);
  t.regex(stdout, /^tapvs {2}0 services, 0 servers\n0 conn\/s .*\ntable .*\nservice.*\nThere are no services\.\n$/);
  t.notRegex(stdout, /\x1b/);
  t.is((await finish([...TAPVS, 'top', '-i', '0'], env)).status, 1);
});

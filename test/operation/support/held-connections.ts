/**
 * Connections that are held open: `node held-connections.js serve PORT` echoes; `node held-connections.js hold ADDRESS PORT
 * PER_SECOND` opens them steadily until SIGUSR2, and at SIGTERM sends a byte by each and prints a `Held[]` in JSON.
 */
import { connect, createServer, type Socket } from 'node:net';

/** How a connection fared: when it was open (ms since 1970; null for never), and what came of the byte sent last. */
export interface Held {
  readonly openMs: number | null;
  readonly came: string;
}

const ANSWER_MS = 8000;

/** What comes of a byte: `answer`, the code of an error, or `silence`. */
function ask(socket: Socket, error: string | undefined): Promise<string> {
  return new Promise((resolve) => {
    if (error !== undefined) resolve(error);
    socket.once('data', () => resolve('answer'));
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code ?? 'error'));
    setTimeout(resolve, ANSWER_MS, 'silence').unref();
    socket.write('x');
  });
}

function hold(host: string, port: number, perSecond: number): void {
  const held: { socket: Socket; openMs: number | null; error?: string }[] = [];
  const opening = setInterval(() => {
    const one: (typeof held)[number] = { socket: connect({ host, port }), openMs: null };
    one.socket.once('connect', () => {
      one.openMs = Date.now();
    });
    one.socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      one.error = code ?? 'error';
    });
    held.push(one);
  }, 1000 / perSecond);
  process.on('SIGUSR2', () => clearInterval(opening));
  process.once('SIGTERM', async () => {
    clearInterval(opening);
    const all = held.map(async ({ socket, openMs, error }) => ({ openMs, came: await ask(socket, error) }));
    process.stdout.write(JSON.stringify(await Promise.all(all)), () => process.exit());
  });
  console.log('holding');
}

const [what, ...words] = process.argv.slice(2);
if (what === 'serve') {
  createServer((socket) => {
    socket.on('error', () => socket.destroy()).pipe(socket);
  }).listen(Number(words[0]), () => console.log('serving'));
} else {
  hold(words[0]!, Number(words[1]), Number(words[2]));
}

/**
 * A web server for tests: `node web-server.js NAME FOLDER PORT...`. `/` is its name, `/health` what the file NAME.health
 * holds, `/large` four megabytes that take about two seconds.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

const [name = '', folder = '', ...ports] = process.argv.slice(2);
const PIECE = Buffer.alloc(2 ** 17, name);
const PIECES = 32;
const PAUSE_MS = 60;

const server = createServer((request, answer) => {
  if (request.url === '/health') {
    answer.end(readFileSync(join(folder, `${name}.health`)));
  } else if (request.url === '/large') {
    let sent = 0;
    const timer = setInterval(() => {
      answer.write(PIECE);
      if (++sent < PIECES) return;
      clearInterval(timer);
      answer.end();
    }, PAUSE_MS);
  } else {
    answer.setHeader('connection', 'close').end(name);
  }
});
let listening = 0;
for (const port of ports) {
  const one = createServer((request, answer) => void server.emit('request', request, answer));
  one.listen(Number(port), () => {
    if (++listening === ports.length) console.log('serving');
  });
}

/** Run by a test: serves a file on port 8080; what is posted is answered by its SHA-256. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const content = readFileSync(process.argv[2]!);
createServer((request, response) => {
  if (request.method === 'GET') {
    response.end(content);
    return;
  }
  const hash = createHash('sha256');
  request.on('data', (chunk) => hash.update(chunk));
  request.on('end', () => response.end(hash.digest('hex')));
}).listen(8080, () => console.log('ready'));

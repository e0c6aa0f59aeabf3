/**
 * A web server with one page, for machines without nginx:
 * `node web-server.js PAGE-FILE HTTP-PORT HTTPS-PORT KEY-FILE CERTIFICATE-FILE`
 */
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';

const [pageFile = '', httpPort, httpsPort, keyFile = '', certFile = ''] = process.argv.slice(2);
const page = readFileSync(pageFile);

const answer: RequestListener = (_request, response) => {
  response.setHeader('content-type', 'text/plain').end(page);
};

createServer(answer).listen(Number(httpPort));
createSecureServer({ key: readFileSync(keyFile), cert: readFileSync(certFile) }, answer)
  // A client that has said goodbye in TLS has closed its socket: to answer the goodbye, as Node would, only brings a RST.
  .on('secureConnection', (socket) => socket.prependListener('end', () => socket.destroy()))
  .listen(Number(httpsPort));

/** A story, told inside this process: in-memory hosts and switches around a Director on in-memory devices. */
import { createServer, get, type RequestListener } from 'node:http';
import { createServer as createSecureServer, get as getSecurely } from 'node:https';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { connect as connectSecurely } from 'node:tls';
import { selfSigned } from './certificate.ts';
import { MemoryNetwork } from './memory-network.ts';
import { type LabMode, type Print, pageOf, printStory, SITE, type Story, storyOf } from './story.ts';
import { tell } from './telling.ts';

/** Longer than any answer in memory takes. */
const REQUEST_TIMEOUT_MS = 5000;

/**
 * Runs the lab of a mode and prints it. Needs nothing of the system.
 * @throws LabFailure when something comes out otherwise than the story says.
 */
export async function runMemoryLab(mode: LabMode, print: Print): Promise<void> {
  const story = storyOf(mode);
  const network = new MemoryNetwork(story);
  try {
    printStory(print, story);
    print('  All of this is in memory; the servers are Node.');
    startServers(network, story);
    await tell(story, {
      print,
      director: network.director,
      commandFor: (url) => `GET ${url}`,
      ask: (url) => ask(network, url),
    });
  } finally {
    network.close();
  }
}

function startServers(network: MemoryNetwork, story: Story): void {
  const identity = selfSigned(SITE);
  for (const server of story.servers) {
    const host = network.server(server);
    const answer: RequestListener = (_request, response) => {
      response.setHeader('content-type', 'text/plain').end(`${pageOf(server.name)}\n`);
    };
    host.listen(server.httpPort, createServer(answer));
    host.listen(server.httpsPort, createSecureServer(identity, answer));
  }
}

/** Asks for a page from the client. @returns it without its line end. */
async function ask({ client }: MemoryNetwork, url: string): Promise<string> {
  const { hostname, protocol } = new URL(url);
  const secure = protocol === 'https:';
  const createConnection = (): Duplex => {
    if (!secure) return client.connect(hostname, 80);
    return connectSecurely({
      socket: client.connect(hostname, 443),
      servername: SITE,
      rejectUnauthorized: false, // as curl -k: the certificate signed itself
    });
  };
  const options = { createConnection, headers: { host: SITE }, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) };
  const page = await new Promise<string>((resolve, reject) => {
    const request = (secure ? getSecurely : get)(url, options, (response) => {
      text(response).then(resolve, reject);
    });
    request.on('error', reject);
  });
  return page.trimEnd();
}

/**
 * The HTTP listener that Prometheus scrapes. Whoever sends too much, too slowly or nonsense gets an error and is gone; how
 * often the director is looked at does not depend on how often it is asked.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { DirectorError } from '../errors.ts';

/** Connections that may be open at once; more are refused. */
export const CONNECTIONS = 16;
/** Longest request line and headers, in bytes. */
export const REQUEST_BYTES = 8192;
/** Time for a whole request, and after it for taking the whole answer, in milliseconds. */
export const REQUEST_MS = 5000;
export const ANSWER_MS = 20_000;
/** How long an exposition is good for, in milliseconds: those who ask meanwhile get the same one. */
const FRESH_MS = 250;
const KEEP_ALIVE_MS = 5000;
/** How often clients are looked at that are too slow. */
const CHECK_MS = 500;

const PATH = '/metrics';

/** A listener for one registry. */
export class MetricsListener {
  readonly #registry: Registry;
  readonly #onMistake: (error: unknown) => void;
  readonly #server: Server;
  #exposition: Promise<Buffer> | null = null;
  #freshUntilMs = 0;

  private constructor(registry: Registry, onMistake: (error: unknown) => void) {
    this.#registry = registry;
    this.#onMistake = onMistake;
    this.#server = createServer(
      {
        maxHeaderSize: REQUEST_BYTES,
        headersTimeout: REQUEST_MS,
        requestTimeout: REQUEST_MS,
        keepAliveTimeout: KEEP_ALIVE_MS,
        connectionsCheckingInterval: CHECK_MS,
      },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = CONNECTIONS;
  }

  /**
   * Opens it.
   * @param address an address of the machine's: 127.0.0.1 for itself alone, 0.0.0.0 or :: for everybody.
   * @param port 0 lets the system choose one.
   * @param onMistake is told of what was thrown while an exposition was made.
   * @throws DirectorError ERR_METRICS when the system does not let it be opened (with its error as `cause`).
   */
  static async listen(
    registry: Registry,
    address: string,
    port: number,
    onMistake: (error: unknown) => void,
  ): Promise<MetricsListener> {
    const listener = new MetricsListener(registry, onMistake);
    const server = listener.#server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) => {
        const where = `${address}, port ${port}`;
        reject(new DirectorError('ERR_METRICS', `metrics cannot be served on ${where}: ${cause.code}`, { cause }));
      });
      server.listen({ host: address, port }, resolve);
    });
    server.on('error', onMistake);
    return listener;
  }

  /** The port it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes no more connections, and ends those there are. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = '', headers, socket } = request;
    // A body is not wanted, and not waited for.
    const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
    if (hasBody) response.setHeader('connection', 'close');
    const [path] = url.split('?', 1);
    if (path !== PATH) return refuse(response, 404, `there is only ${PATH}`);
    if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return refuse(response, 405, 'GET or HEAD');
    }
    const slow = setTimeout(() => socket.destroy(), ANSWER_MS);
    response.on('close', () => clearTimeout(slow));
    try {
      const exposition = await this.#fresh();
      response.setHeader('content-type', this.#registry.contentType);
      response.setHeader('content-length', exposition.length);
      response.end(method === 'HEAD' ? undefined : exposition);
    } catch (error) {
      this.#exposition = null;
      this.#onMistake(error);
      refuse(response, 500, 'the director made a mistake; its log says more');
    }
  }

  #fresh(): Promise<Buffer> {
    const nowMs = performance.now();
    if (this.#exposition === null || nowMs >= this.#freshUntilMs) {
      this.#freshUntilMs = nowMs + FRESH_MS;
      this.#exposition = this.#registry.metrics().then((text) => Buffer.from(text));
    }
    return this.#exposition;
  }
}

function refuse(response: ServerResponse, status: number, reason: string): void {
  response.statusCode = status;
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.end(`${reason}\n`);
}

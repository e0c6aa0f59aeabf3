/**
 * The control socket of a director: answers those who may open it. Whoever sends too much, too slowly or nonsense gets an
 * error and is gone; nothing else waits for them.
 */
import { chmodSync, chownSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { DirectorError } from '../errors.ts';
import { Connection } from './connection.ts';
import { ControlError } from './protocol.ts';
import type { Verb, VerbContext } from './verb.ts';

/** Connections that may be open at once. One more takes the place of the one that has been without a request longest. */
export const CONNECTIONS = 32;

/** How a control socket is made. */
export interface ControlServerOptions {
  /** Where; a folder that is missing is made. At most 107 bytes. */
  readonly path: string;
  /** Who may use it. Default 0o600: its owner. */
  readonly mode?: number;
  /** Its owner's user and group number. Default: this process's. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  readonly verbs: ReadonlyMap<string, Verb>;
  readonly context: VerbContext;
  /** Is told of what was thrown that should not have been, and by which verb. */
  readonly onMistake: (verb: string, error: unknown) => void;
}

/** The longest path of a Unix socket: `sun_path` of 108 bytes, less the closing NUL. */
const MAX_PATH_BYTES = 107;

/** A listening control socket. */
export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #running = new Set<Promise<void>>();

  private constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  /**
   * Opens the socket. One that a director left behind which no longer runs is replaced.
   * @throws DirectorError ERR_INVALID_OPTION for the path; ERR_CONTROL when another director listens there, or the system
   *   does not let it be made (with the system's error as `cause`).
   */
  static async listen(options: ControlServerOptions): Promise<ControlServer> {
    const { path, mode = 0o600, owner } = options;
    if (Buffer.byteLength(path) > MAX_PATH_BYTES || path.includes('\0')) {
      throw new DirectorError('ERR_INVALID_OPTION', `control.socket: longer than ${MAX_PATH_BYTES} bytes`, {
        option: 'control.socket',
        value: path,
      });
    }
    if (await answers(path)) throw new DirectorError('ERR_CONTROL', 'another director listens on the control socket');
    const server = new ControlServer(options);
    try {
      const folder = mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
      if (folder !== undefined && owner !== undefined) chownSync(dirname(path), owner.uid, owner.gid);
      removeStale(path);
      await server.#bind(path);
      if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
      chmodSync(path, mode);
    } catch (cause) {
      server.#server.close();
      const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
      throw new DirectorError('ERR_CONTROL', `the control socket cannot be made: ${reason}`, { cause });
    }
    return server;
  }

  /** Nobody but the owner may connect in the moment between making the socket and giving it its mode. */
  #bind(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject).once('listening', resolve);
      const umask = process.umask(0o177);
      try {
        this.#server.listen(path); // binds before it returns
      } finally {
        process.umask(umask);
      }
    });
  }

  /**
   * Takes no more connections, gives requests at hand `graceMs` milliseconds to be answered, and removes the socket.
   */
  async close(graceMs: number): Promise<void> {
    this.#server.close();
    for (const connection of this.#connections) if (connection.waiting) connection.destroy();
    const grace = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy();
    }, graceMs);
    await Promise.all(this.#running);
    clearTimeout(grace);
  }

  #accept(socket: Socket): void {
    if (this.#connections.size >= CONNECTIONS) this.#makeRoom();
    if (this.#connections.size >= CONNECTIONS) {
      socket.on('error', () => {}).destroy();
      return;
    }
    const connection = new Connection(socket);
    this.#connections.add(connection);
    const run = this.#serve(connection).finally(() => {
      this.#connections.delete(connection);
      this.#running.delete(run);
    });
    this.#running.add(run);
  }

  #makeRoom(): void {
    for (const connection of this.#connections) {
      if (!connection.waiting) continue;
      this.#connections.delete(connection);
      connection.destroy();
      return;
    }
  }

  async #serve(connection: Connection): Promise<void> {
    try {
      const { verb: name, parameters } = await connection.receive();
      const verb = this.#options.verbs.get(name);
      if (verb === undefined) throw unknownVerb(this.#options.verbs);
      const client = {
        send: (data: unknown) => connection.send({ data }),
        signal: connection.signal,
      };
      const result = await this.#run(verb, parameters, client);
      await connection.send({ result: result ?? null });
    } catch (error) {
      if (error instanceof ControlError || error instanceof DirectorError) {
        await connection.send({ error: { code: error.code, message: error.message } }).catch(() => {});
      } else {
        this.#options.onMistake('', error);
        connection.destroy();
      }
    } finally {
      await connection.end();
    }
  }

  async #run(verb: Verb, parameters: Readonly<Record<string, unknown>>, client: Parameters<Verb['run']>[2]) {
    try {
      return await verb.run(parameters, this.#options.context, client);
    } catch (error) {
      if (error instanceof ControlError || error instanceof DirectorError) throw error;
      this.#options.onMistake(verb.name, error);
      throw new ControlError('ERR_INTERNAL', 'the director made a mistake; its log says more');
    }
  }
}

function unknownVerb(verbs: ReadonlyMap<string, Verb>): ControlError {
  return new ControlError('ERR_UNKNOWN_VERB', `there is no such verb; there are ${[...verbs.keys()].join(', ')}`);
}

/** Whether somebody listens there. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** Makes room for a socket; what is no socket stays, and is in the way. */
function removeStale(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) unlinkSync(path);
}

/** One connection to the control socket: takes a request within bounds, sends replies, ends. */
import type { Socket } from 'node:net';
import { ControlError, type ControlReply, type ControlRequest, parseRequest } from './protocol.ts';

/** Longest request, in bytes: a restore of some 20,000 lines, which keeps a director busy for 2 s (80 us a line). */
export const REQUEST_BYTES: number = 2 ** 20;
/** Time that a client has to send its whole request, in milliseconds. */
export const REQUEST_MS = 10_000;
/** Time that a client may take nothing of what it is sent, in milliseconds. */
export const STALL_MS = 30_000;
/** How long a client that was refused may go on sending, in milliseconds: hanging up on it would lose it the refusal. */
const LINGER_MS = 1000;

const NEWLINE = 0x0a;

/** The server's end of a connection. */
export class Connection {
  readonly #socket: Socket;
  readonly #gone = new AbortController();
  /** Whether the request has not come yet. */
  waiting = true;

  constructor(socket: Socket) {
    this.#socket = socket;
    // What goes wrong on a connection ends it; nobody else needs to know.
    socket.on('error', () => {});
    socket.on('end', () => this.#gone.abort());
    socket.on('close', () => this.#gone.abort());
  }

  /** Aborted when the client has closed its direction, or the connection is over. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** The client's request. @throws ControlError; ERR_CLOSED when the client goes without one */
  async receive(): Promise<ControlRequest> {
    try {
      return parseRequest(await this.#line());
    } finally {
      this.waiting = false;
    }
  }

  #line(): Promise<string> {
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let length = 0;
      const refuse = (code: 'ERR_TIMEOUT' | 'ERR_TOO_LARGE' | 'ERR_CLOSED' | 'ERR_BAD_REQUEST', message: string) => {
        clearTimeout(timer);
        // What else comes is read and thrown away, so that the refusal arrives (a reset would overtake it).
        socket.removeListener('data', take).resume();
        reject(new ControlError(code, message));
      };
      const late = () => refuse('ERR_TIMEOUT', `no whole request within ${REQUEST_MS / 1000} s`);
      const timer = setTimeout(late, REQUEST_MS);
      const take = (chunk: Buffer) => {
        const end = chunk.indexOf(NEWLINE);
        length += end < 0 ? chunk.length : end;
        if (length > REQUEST_BYTES) return refuse('ERR_TOO_LARGE', `a request has at most ${REQUEST_BYTES} bytes`);
        chunks.push(end < 0 ? chunk : chunk.subarray(0, end));
        if (end < 0) return;
        if (end + 1 < chunk.length) return refuse('ERR_BAD_REQUEST', 'one request for each connection');
        clearTimeout(timer);
        socket.removeListener('data', take);
        socket.on('data', () => socket.destroy());
        resolve(Buffer.concat(chunks).toString('utf8'));
      };
      socket.on('data', take);
      socket.on('end', () => refuse('ERR_CLOSED', 'the connection was closed before the request was whole'));
      socket.on('close', () => refuse('ERR_CLOSED', 'the connection is closed'));
    });
  }

  /** Sends a message. Resolves when there is room for more. @throws ControlError ERR_CLOSED, ERR_TIMEOUT */
  send(reply: ControlReply): Promise<void> {
    const socket = this.#socket;
    if (!socket.writable) return Promise.reject(new ControlError('ERR_CLOSED', 'the connection is closed'));
    if (socket.write(`${JSON.stringify(reply)}\n`)) return Promise.resolve();
    return this.#until('drain', STALL_MS);
  }

  /** Closes the connection when everything sent is taken, or the client takes nothing any more. */
  async end(): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed) return;
    socket.end();
    try {
      if (!socket.writableFinished) await this.#until('finish', STALL_MS);
      if (!socket.readableEnded) await this.#until('end', LINGER_MS);
    } catch {
      // Gone, or deaf: either way this was all.
    }
    socket.destroy();
  }

  /** Ends the connection at once. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Waits for an event. A client that lets `stallMs` pass without taking a byte is not waited for. */
  #until(event: 'drain' | 'finish' | 'end', stallMs: number): Promise<void> {
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      let left = socket.writableLength;
      const timer = setInterval(() => {
        if (socket.writableLength === left) socket.destroy();
        left = socket.writableLength;
      }, stallMs);
      const settle = (settled: () => void) => {
        clearInterval(timer);
        socket.off(event, succeed).off('close', fail);
        settled();
      };
      const succeed = () => settle(resolve);
      const fail = () => settle(() => reject(new ControlError('ERR_CLOSED', 'the connection is closed')));
      socket.on(event, succeed).on('close', fail);
    });
  }
}

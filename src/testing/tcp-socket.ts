import { Duplex } from 'node:stream';
import type { Endpoints } from './endpoints.ts';
import { addressText } from './ipv4-address.ts';
import type { TcpConnection, TcpState, TcpUser } from './tcp-connection.ts';

/**
 * One end of a TCP connection between in-memory hosts, as a stream that `node:http` and `node:tls` can stand on. Emits
 * `connect` when the connection is established, and the same errors as a `net.Socket`.
 */
export class MemorySocket extends Duplex {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Whether the connection is still to be established. */
  connecting = true;
  readonly #connection: TcpConnection;

  /** Made by {@link MemoryHost.connect} and {@link MemoryHost.listen}. */
  constructor(ends: Endpoints, allowHalfOpen: boolean, open: (user: TcpUser) => TcpConnection) {
    super({ allowHalfOpen });
    this.localAddress = addressText(ends.localAddress);
    this.localPort = ends.localPort;
    this.remoteAddress = addressText(ends.remoteAddress);
    this.remotePort = ends.remotePort;
    this.#connection = open({
      onConnect: () => {
        this.connecting = false;
        this.emit('connect');
      },
      onData: (bytes) => this.push(bytes),
      onEnd: () => {
        this.push(null);
        // Somebody who never reads should still learn that the peer has gone, as with a net.Socket.
        if (this.readableLength === 0) this.read(0);
      },
      onError: (error) => this.destroy(error),
    });
  }

  /** The state of the connection, by its name in RFC 9293. */
  get state(): TcpState {
    return this.#connection.state;
  }

  /** Ends the connection with a reset and destroys the stream. */
  resetAndDestroy(): this {
    this.#connection.reset();
    return this.destroy();
  }

  override _read(): void {
    this.#connection.resume();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    // A copy: the caller may reuse its bytes as soon as it is told that they are written.
    this.#connection.write(new Uint8Array(chunk), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#connection.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.connecting = false;
    this.#connection.close();
    done(error);
  }
}

/**
 * A wire between this process and an interface of a User Mode Linux: Ethernet frames in L2TPv3 over UDP on the loopback
 * (RFC 3931 sections 4.1.2.1 and 4.6, without cookies and sublayers). Keeps order, loses nothing, and needs neither
 * root nor interfaces on this machine.
 */
import { createSocket, type Socket } from 'node:dgram';

const LOOPBACK = '127.0.0.1';
const SESSION = 1;
/** Version 3, data message; the session id. */
const HEADER = Uint8Array.of(0, 3, 0, 0, 0, 0, 0, SESSION);
/** Room for frames that wait while this process is busy. */
const BUFFER_BYTES = 1 << 22;

export class FrameWire {
  /** Called with each frame that Linux sends. */
  onFrame: (frame: Buffer) => void = () => {};

  readonly #socket: Socket;
  readonly #farPort: number;

  private constructor(socket: Socket, farPort: number) {
    this.#socket = socket;
    this.#farPort = farPort;
    socket.setRecvBufferSize(BUFFER_BYTES);
    socket.on('message', (message) => {
      if (message.length > HEADER.length) this.onFrame(message.subarray(HEADER.length));
    });
  }

  static async open(): Promise<FrameWire> {
    const [near, far] = await Promise.all([bind(), bind()]);
    const farPort = far.address().port;
    // Linux binds this port itself, when its interface comes up.
    await new Promise<void>((done) => far.close(done));
    return new FrameWire(near, farPort);
  }

  /** What the kernel's command line says of the interface at the other end. */
  get vectorOptions(): string {
    const { port } = this.#socket.address();
    return (
      `transport=l2tpv3,udp=1,src=${LOOPBACK},dst=${LOOPBACK},srcport=${this.#farPort},dstport=${port},` +
      `rx_session=${SESSION},tx_session=${SESSION}`
    );
  }

  send(frame: Uint8Array): void {
    this.#socket.send([HEADER, frame], this.#farPort, LOOPBACK);
  }

  close(): void {
    this.#socket.close();
  }
}

function bind(): Promise<Socket> {
  const socket = createSocket('udp4');
  return new Promise((done, fail) => {
    socket.once('error', fail);
    socket.bind(0, LOOPBACK, () => done(socket));
  });
}

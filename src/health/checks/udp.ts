/** `udp`: a datagram is answered, or at least not refused by an ICMP error. */
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { invalidOption } from '../../errors.ts';
import type { UdpCheck } from '../config.ts';
import { number } from '../number.ts';
import { type CheckKind, TARGET_OPTIONS, target, text } from './check.ts';

const MAX_SEND = 65_507;

export const udp: CheckKind<UdpCheck> = {
  options: [...TARGET_OPTIONS, 'send', 'expect', 'quiet'],
  prepare(options, at) {
    const to = target(options, at);
    const send = bytes(`${at}.send`, options.send);
    const expect = options.expect === undefined ? Buffer.alloc(0) : bytes(`${at}.expect`, options.expect);
    const quiet = options.quiet === undefined ? null : number(`${at}.quiet`, options.quiet, 0.01, 3600, 0);
    return (server, signal) =>
      new Promise<void>((resolve, reject) => {
        const { address, port, localAddress } = to(server);
        const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
        const timer = quiet === null ? undefined : setTimeout(() => end(resolve), quiet * 1000);
        const end = (settle: () => void) => {
          clearTimeout(timer);
          if (open) socket.close();
          open = false;
          settle();
        };
        let open = true;
        socket.on('error', (error) => end(() => reject(error)));
        socket.on('message', (answer) => {
          end(() => (answer.includes(expect) ? resolve() : reject(new Error('another answer'))));
        });
        signal.addEventListener('abort', () => end(() => reject(signal.reason)), { once: true });
        socket.bind({ ...(localAddress !== undefined && { address: localAddress }) }, () => {
          // Connected sockets alone are told of ICMP errors.
          if (open) socket.connect(port, address, () => open && socket.send(send));
        });
      });
  },
};

function bytes(option: string, given: unknown): Buffer {
  const value = text(option, given, undefined);
  if (value === undefined || !/^[\0-\xff]*$/.test(value) || value.length > MAX_SEND) {
    throw invalidOption(option, given, `text of at most ${MAX_SEND} characters, each of which is a byte`);
  }
  return Buffer.from(value, 'latin1');
}

import type { Endpoints } from './endpoints.ts';
import { addressText } from './ipv4-address.ts';

/** The error that a Node socket would report: `connect ECONNREFUSED 10.0.0.1:80`, with `code` and the rest as fields. */
export function socketError(code: string, syscall: string, { remoteAddress, remotePort }: Endpoints): Error {
  const address = addressText(remoteAddress);
  const error = new Error(`${syscall} ${code} ${address}:${remotePort}`);
  return Object.assign(error, { code, syscall, address, port: remotePort });
}

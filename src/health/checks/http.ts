/** `http`, `https`: a request is answered with an expected status and body. */
import {
  request as httpRequest,
  type IncomingMessage,
  METHODS,
  validateHeaderName,
  validateHeaderValue,
} from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { invalidOption } from '../../errors.ts';
import { integer, object } from '../../services/settings.ts';
import type { HttpCheck } from '../config.ts';
import { type CheckKind, TARGET_OPTIONS, target, text } from './check.ts';

/** How much of a body is looked at. */
const MAX_BODY = 2 ** 20;

export const http: CheckKind<HttpCheck> = {
  options: [...TARGET_OPTIONS, 'method', 'path', 'host', 'headers', 'status', 'body', 'verify'],
  prepare(options, at) {
    const to = target(options, at);
    const { method = 'GET', path = '/', verify = false } = options;
    if (!METHODS.includes(method)) throw invalidOption(`${at}.method`, method, 'a method of HTTP');
    if (typeof path !== 'string' || !/^\/[!-~]*$/.test(path)) throw invalidOption(`${at}.path`, path, 'a path');
    if (typeof verify !== 'boolean') throw invalidOption(`${at}.verify`, verify, 'a boolean');
    const host = text(`${at}.host`, options.host, undefined);
    const body = text(`${at}.body`, options.body, undefined);
    const headers = checkHeaders({ ...options.headers, ...(host !== undefined && { host }) }, options.headers, at);
    const isWell = statuses(options.status, at);
    const request = options.type === 'https' ? httpsRequest : httpRequest;
    const tls = {
      rejectUnauthorized: verify,
      ...(host !== undefined && isIP(host) === 0 && { servername: host.replace(/:\d+$/, '') }),
    };

    return (server, signal) =>
      new Promise<void>((resolve, reject) => {
        const { address, port, localAddress } = to(server);
        const where = { host: address, port, ...(localAddress !== undefined && { localAddress }) };
        const asked = request({ ...where, ...tls, method, path, headers, agent: false, signal });
        asked.on('error', reject);
        asked.on('response', (answer) => {
          const { statusCode = 0 } = answer;
          if (!isWell(statusCode)) reject(new Error(`status ${statusCode}`));
          else if (body === undefined) resolve();
          else holds(answer, body).then((yes) => (yes ? resolve() : reject(new Error('another body'))), reject);
          if (body === undefined || !isWell(statusCode)) asked.destroy();
        });
        asked.end();
      });
  },
};

function checkHeaders(headers: Record<string, string>, given: unknown, at: string): Record<string, string> {
  if (given !== undefined) object(`${at}.headers`, given);
  for (const [name, value] of Object.entries(headers)) {
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      throw invalidOption(`${at}.${name === 'host' ? name : `headers.${name}`}`, value, 'a header of HTTP');
    }
  }
  return headers;
}

function statuses(given: HttpCheck['status'], at: string): (status: number) => boolean {
  if (given === undefined) return (status) => status >= 200 && status < 400;
  const wanted = typeof given === 'number' ? [given] : given;
  if (!Array.isArray(wanted) || wanted.length === 0) throw invalidOption(`${at}.status`, given, 'a status or several');
  for (const [i, status] of wanted.entries()) {
    integer(typeof given === 'number' ? `${at}.status` : `${at}.status[${i}]`, status, 100, 599, 0);
  }
  return (status) => wanted.includes(status);
}

/** Whether a body holds a text, in its first {@link MAX_BODY} bytes. The connection is given up then. */
async function holds(answer: IncomingMessage, wanted: string): Promise<boolean> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of answer as AsyncIterable<Buffer>) {
    pieces.push(piece);
    length += piece.length;
    if (length >= MAX_BODY) break;
  }
  answer.destroy();
  return Buffer.concat(pieces).subarray(0, MAX_BODY).includes(wanted);
}

/** Real requests: `curl`, run on one of the lab's hosts. */
import type { Network } from './namespaces.ts';
import type { Children } from './processes.ts';
import { SITE } from './story.ts';

/** What came of a request. */
export interface Answer {
  /** The page, without its line end; `undefined` where none came. */
  readonly page: string | undefined;
  /** What curl said about the failure, or empty. */
  readonly trouble: string;
}

/** What curl is run with: nobody's own settings or proxy, and an end in any case. */
const CURL = ['curl', '--disable', '--noproxy', '*', '--silent', '--show-error', '--max-time', '5', '--insecure'];

/** What a person would type for {@link request}. */
export function commandLine(url: string): string {
  return `curl -k -H 'Host: ${SITE}' ${url}`;
}

/** Asks for `url` from the host. */
export async function request(network: Network, children: Children, host: string, url: string): Promise<Answer> {
  const ended = await children.start(...network.on(host, ...CURL, '--header', `Host: ${SITE}`, url));
  if (ended.status === 0) return { page: ended.stdout.trimEnd(), trouble: '' };
  return { page: undefined, trouble: ended.stderr.trim() || `curl: ${ended.signal ?? ended.status}` };
}

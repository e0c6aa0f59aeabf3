/** `health` and `check` in `services`: how a service's servers are watched. */
import type { Director } from '../../director.ts';
import { DirectorError } from '../../errors.ts';
import { CHECK_TYPES } from '../../health/checks.ts';
import type { HealthOptions } from '../../health/config.ts';
import type { ServiceKey } from '../../services/config.ts';
import { flag, integer, list, number, object, oneOf, text } from '../schema-parts.ts';
import type { Schema } from '../section.ts';

const DAY = 86_400;
const FAILURES = ['refused', 'repeated', 'reset'];

const target = {
  address: text("Where it goes. Default: the server's address."),
  port: integer("Its port there. Default: the server's.", 1, 65535),
  localAddress: text("The machine's address that it is sent from. Default: the system's choice."),
};

function checkSchema(description: string, more: Schema): Schema {
  return object(
    description,
    {
      type: oneOf('What is tried: what follows is for the kinds that it names.', CHECK_TYPES),
      ...target,
      method: text('http, https: the method. Default: `GET`.'),
      path: text('http, https: what is asked for. Default: `/`.'),
      host: text('http, https: the `Host` header, and the name in TLS. Default: the address.'),
      headers: {
        type: 'object',
        description: 'http, https: more headers, by name.',
        additionalProperties: { type: 'string' },
      },
      status: {
        description: 'http, https: statuses that are well. Default: 200 to 399.',
        oneOf: [
          { type: 'integer', minimum: 100, maximum: 599 },
          { type: 'array', items: { type: 'integer', minimum: 100, maximum: 599 }, minItems: 1 },
        ],
      },
      body: text('http, https: what the first megabyte of the body must hold.'),
      verify: flag('https: whether the certificate must be valid for `host`. Default: no.'),
      name: text('dns: the name that is asked for.'),
      record: oneOf('dns: of which type. Default: `A`.', ['A', 'AAAA', 'NS', 'TXT', 'CNAME', 'PTR']),
      expect: text(
        'dns: what one of the records must be. udp: what the answer must hold. Default: any answer will do.',
      ),
      send: text('udp: what is sent, a character for each byte.'),
      quiet: number('udp: seconds of silence that are taken for well. Default: there has to be an answer.', 0.01, 3600),
      command: list(
        'command: the program and its arguments. It has `SERVER_ADDRESS` and `SERVER_PORT`; status 0 is well.',
        { type: 'string' },
        { minItems: 1 },
      ),
    },
    ['type'],
    more,
  );
}

/** Of a server: its own check. */
export const SERVER_CHECK: Schema = checkSchema(
  "How it is checked, if not as the service's `health` says; null: not at all.",
  { type: ['object', 'null'] },
);

/** Of a service; `server` are the properties of a server. */
export function healthSchema(server: Readonly<Record<string, Schema>>): Schema {
  return object('How its servers are watched: checks, and what becomes of weights. Default: they are not.', {
    check: checkSchema('How each server is checked. Default: not.', {}),
    interval: number('Seconds from one check to the next.', 0.1, DAY, { default: 5 }),
    timeout: number('Seconds after which a check has failed.', 0.1, DAY, { default: 2 }),
    rise: integer('Successes in a row until a server is up again.', 1, 1000, { default: 2 }),
    fall: integer('Failures in a row until a server is down.', 1, 1000, { default: 3 }),
    jitter: number('By what part an interval is lengthened or shortened, at random.', 0, 1, { default: 0.1 }),
    onFailure: oneOf('What becomes of a server that is down: weight 0, or it is taken out.', ['quiesce', 'remove'], {
      default: 'quiesce',
    }),
    quorum: integer('How many servers must be in use; below that the sorry server serves.', 1, 65535, { default: 1 }),
    sorryServer: object('Serves, alone, when too few servers are in use.', server, ['address']),
    slowStart: object(
      'A server that comes back gets its weight bit by bit.',
      {
        duration: number('Seconds until it has its whole weight.', 0.1, DAY),
        from: number('The part that it begins with.', 0.001, 1, { default: 0.1 }),
        steps: integer('In how many steps.', 1, 1000, { default: 10 }),
      },
      ['duration'],
    ),
    load: object(
      'Weights follow what agents on the servers say: a line with a percentage.',
      {
        from: object('The agents.', target, ['port']),
        interval: number('Seconds between questions. Default: those between checks.', 0.1, DAY),
        timeout: number('Seconds for an answer. Default: those for a check.', 0.1, DAY),
        least: number('The smallest part of its weight that a server keeps.', 0, 1, { default: 0.1 }),
        most: number('The largest.', 0, 100, { default: 1 }),
      },
      ['from'],
    ),
    passive: object("Servers whose clients' connections fail are left out for a while, never below the quorum.", {
      window: number('Seconds over which connections are counted.', 0.1, DAY, { default: 10 }),
      connections: integer('With fewer new ones nothing is concluded.', 1, 2 ** 31 - 1, { default: 10 }),
      failing: number('The part that fails, from which on a server is left out.', 0.01, 1, { default: 0.5 }),
      count: list(
        'What counts as failing: a SYN that is refused (NAT), one that comes again, an established connection that is reset (NAT).',
        { type: 'string', enum: FAILURES },
        { default: ['refused', 'repeated'], minItems: 1, uniqueItems: true },
      ),
      eject: number('Seconds for which it is left out.', 0.1, DAY, { default: 30 }),
    }),
  });
}

/** Watches a service. Errors name options by their place in the service. @throws DirectorError */
export function watch(director: Director, key: ServiceKey, options: HealthOptions): void {
  try {
    director.watch(key, options);
  } catch (error) {
    if (!(error instanceof DirectorError) || error.option === undefined) throw error;
    const { code, message, option, value } = error;
    if (code !== 'ERR_INVALID_OPTION' || option.startsWith('servers[')) throw error;
    throw new DirectorError(code, `health.${message}`, { option: `health.${option}`, value, cause: error });
  }
}

/** The verb `drain`: takes a server out of service without breaking a connection, or gives it its weight back. */
import type { DrainOptions, DrainProgress } from '../../engine/drains.ts';
import type { DestinationKey, ServiceKey } from '../../services/config.ts';
import { ControlError } from '../protocol.ts';
import type { Verb, VerbClient, VerbContext } from '../verb.ts';

const ACTIONS = ['start', 'cancel', 'list'];

/**
 * Parameters: `action`, which is `start` (the default), `cancel` or `list`; but for a list `service` and `server`, their
 * keys; to start `options` ({@link DrainOptions}), and `wait`: whether to be told of each {@link DrainProgress} until it is
 * over (default true). A client that leaves leaves the drain as it is.
 * Result: the {@link DrainProgress}; of a list all there are.
 */
export const drainVerb: Verb = {
  name: 'drain',
  run(parameters, context, client): unknown {
    const { action = 'start', ...others } = parameters;
    if (typeof action !== 'string' || !ACTIONS.includes(action)) {
      throw new ControlError('ERR_BAD_REQUEST', `action must be one of ${ACTIONS.join(', ')}`);
    }
    if (action === 'list') return context.director.drains().map(({ progress }) => progress);
    return action === 'cancel' ? cancel(others, context) : start(others, context, client);
  },
};

function keys({ service, server }: Readonly<Record<string, unknown>>): [ServiceKey, DestinationKey] {
  return [object<ServiceKey>('service', service), object<DestinationKey>('server', server)];
}

/** An object, whose properties the director checks. */
function object<T>(name: string, value: unknown): T {
  if (typeof value === 'object' && value !== null) return value as T;
  throw new ControlError('ERR_BAD_REQUEST', `${name} must be an object`);
}

function cancel(parameters: Readonly<Record<string, unknown>>, { director }: VerbContext): DrainProgress {
  const [service, server] = keys(parameters);
  const drain = director.drainOf(service, server);
  if (drain === undefined) throw new ControlError('ERR_BAD_REQUEST', 'this server is not being drained');
  drain.cancel();
  return drain.progress;
}

async function start(
  { wait = true, options = {}, ...others }: Readonly<Record<string, unknown>>,
  { director }: VerbContext,
  { send, signal }: VerbClient,
): Promise<DrainProgress> {
  const [service, server] = keys(others);
  const drain = director.drain(service, server, object<DrainOptions>('options', options));
  if (wait !== true) return drain.progress;
  let sending = Promise.resolve();
  const tell = (progress: DrainProgress) => {
    if (progress !== drain.progress || progress.state !== 'draining') return;
    sending = sending.then(() => send(progress)).catch(() => {});
  };
  tell(drain.progress);
  director.on('drain', tell);
  const gone = new Promise((resolve) => {
    signal.addEventListener('abort', resolve, { once: true });
  });
  await Promise.race([drain.ended, gone]);
  director.off('drain', tell);
  await sending;
  return drain.progress;
}

/**
 * The health of one service's servers, as a pure function of what has happened: no clocks, no sockets, no director.
 *
 * {@link reduce} takes note of what happens; {@link look} says what follows from it at a moment: each server's state and
 * weight, and whether the sorry server serves. Times are milliseconds of any clock that does not go back.
 */
import type { ServerState, ServiceState } from './config.ts';

/** What counts, of a service's options. */
export interface Rules {
  readonly rise: number;
  readonly fall: number;
  readonly removes: boolean;
  readonly quorum: number;
  readonly hasSorryServer: boolean;
  readonly slowStart: { readonly durationMs: number; readonly from: number; readonly steps: number } | null;
  readonly least: number;
  readonly most: number;
  readonly ejectMs: number;
}

/** A server. */
export interface Server {
  /** The weight that it was given. */
  readonly configured: number;
  readonly checked: 'unchecked' | 'up' | 'down';
  /** Checks in a row that contradict that. */
  readonly streak: number;
  /** Why it is up or down. */
  readonly reason: string;
  /** When it came back into use; null when it was never out. */
  readonly backAtMs: number | null;
  readonly load: number | null;
  /** Until when it is left out for what its connections told; null when it is not. */
  readonly ejectedUntilMs: number | null;
  readonly ejectedFor: string;
}

/** All servers of a service, by their names. */
export type Servers = ReadonlyMap<string, Server>;

/** What may happen. */
export type Happening =
  /** A server was added, or its weight was set. */
  | { readonly what: 'configured'; readonly server: string; readonly weight: number }
  | { readonly what: 'removed'; readonly server: string }
  /** A check has ended: with `failure`, or null. */
  | { readonly what: 'checked'; readonly server: string; readonly failure: string | null }
  /** A server is not checked any more. */
  | { readonly what: 'unchecked'; readonly server: string }
  | { readonly what: 'load'; readonly server: string; readonly load: number | null }
  /** A server's connections fail. */
  | { readonly what: 'suspected'; readonly server: string; readonly reason: string }
  | { readonly what: 'time' };

const UNCHECKED = 'not checked';

function newServer(configured: number): Server {
  return {
    configured,
    checked: 'unchecked',
    streak: 0,
    reason: UNCHECKED,
    backAtMs: null,
    load: null,
    ejectedUntilMs: null,
    ejectedFor: '',
  };
}

/** A server after a check. The first check decides at once; later ones when there are enough in a row. */
function afterCheck(server: Server, failure: string | null, atMs: number, { rise, fall }: Rules): Server {
  const result = failure === null ? 'up' : 'down';
  const reason = failure ?? 'answers';
  if (server.checked === result) return { ...server, streak: 0, reason };
  const streak = server.streak + 1;
  const needed = server.checked === 'unchecked' ? 1 : result === 'up' ? rise : fall;
  if (streak < needed) return { ...server, streak };
  const backAtMs = server.checked === 'down' ? atMs : server.backAtMs;
  return { ...server, checked: result, streak: 0, reason, backAtMs };
}

/** Whether new connections may go to a server, as far as it is concerned. */
function isUsable({ checked, configured, ejectedUntilMs }: Server): boolean {
  return checked !== 'down' && configured > 0 && ejectedUntilMs === null;
}

/** How many servers new connections may go to. */
export function usable(servers: Servers): number {
  let count = 0;
  for (const server of servers.values()) if (isUsable(server)) count++;
  return count;
}

/** The servers after something has happened. */
export function reduce(servers: Servers, happening: Happening, atMs: number, rules: Rules): Servers {
  const next = new Map(servers);
  const id = happening.what === 'time' ? '' : happening.server;
  const server = next.get(id);
  switch (happening.what) {
    case 'configured':
      next.set(id, server === undefined ? newServer(happening.weight) : { ...server, configured: happening.weight });
      break;
    case 'removed':
      next.delete(id);
      break;
    case 'checked':
      if (server !== undefined) next.set(id, afterCheck(server, happening.failure, atMs, rules));
      break;
    case 'unchecked':
      if (server !== undefined) next.set(id, { ...server, checked: 'unchecked', streak: 0, reason: UNCHECKED });
      break;
    case 'load':
      if (server !== undefined) next.set(id, { ...server, load: happening.load });
      break;
    case 'suspected':
      if (server !== undefined && isUsable(server) && usable(servers) > rules.quorum) {
        next.set(id, { ...server, ejectedUntilMs: atMs + rules.ejectMs, ejectedFor: happening.reason });
      }
      break;
  }
  return readmit(next, atMs, rules);
}

/** Lets those back in whose time is over, and as many others as the quorum wants, those first that have waited longest. */
function readmit(servers: Map<string, Server>, atMs: number, { quorum }: Rules): Servers {
  const ejected = [...servers].filter(([, { ejectedUntilMs }]) => ejectedUntilMs !== null);
  if (ejected.length === 0) return servers;
  ejected.sort(([, a], [, b]) => a.ejectedUntilMs! - b.ejectedUntilMs!);
  let inUse = usable(servers);
  for (const [id, server] of ejected) {
    const isOver = server.ejectedUntilMs! <= atMs;
    const wouldServe = server.checked !== 'down' && server.configured > 0;
    if (!isOver && (inUse >= quorum || !wouldServe)) continue;
    servers.set(id, { ...server, ejectedUntilMs: null, ejectedFor: '', backAtMs: atMs });
    if (wouldServe) inUse++;
  }
  return servers;
}

/** What follows for a server. */
export interface ServerView {
  readonly state: ServerState;
  /** Why it is in that state. */
  readonly reason: string;
  /** Its weight in the table; null: it is not to be there. */
  readonly weight: number | null;
  /** Why it has that weight. */
  readonly because: string;
}

/** What follows for a service. */
export interface View {
  readonly state: ServiceState;
  readonly inUse: number;
  readonly servers: ReadonlyMap<string, ServerView>;
}

/** What follows from what has happened, at a moment. */
export function look(servers: Servers, atMs: number, rules: Rules): View {
  const inUse = usable(servers);
  const state = inUse >= rules.quorum ? 'served' : rules.hasSorryServer ? 'sorry' : 'short';
  const views = Array.from(servers, ([id, server]) => [id, lookAt(server, state, atMs, rules)] as const);
  return { state, inUse, servers: new Map(views) };
}

function lookAt(server: Server, service: ServiceState, atMs: number, rules: Rules): ServerView {
  const { checked, configured, ejectedUntilMs, ejectedFor } = server;
  if (checked === 'down') {
    const { reason } = server;
    return { state: 'down', reason, weight: rules.removes ? null : 0, because: reason };
  }
  if (ejectedUntilMs !== null) return { state: 'ejected', reason: ejectedFor, weight: 0, because: ejectedFor };
  const view = { state: checked, reason: server.reason };
  if (configured === 0) return { ...view, weight: 0, because: 'its configured weight' };
  if (service === 'sorry') return { ...view, weight: 0, because: 'the sorry server serves' };
  const { part: byLoad, because: load } = partByLoad(server, rules);
  const { part: byStart, because: start } = partByStart(server, atMs, rules);
  const part = byLoad * byStart;
  // A server is not put out of use by a small weight, but only where a part of nothing was asked for.
  const weight = part === 0 ? 0 : Math.max(1, Math.round(configured * part));
  return { ...view, weight, because: [start, load].filter((one) => one !== '').join(', ') || 'its configured weight' };
}

/** Rounded, so that no small change of the load is one of the weight. */
function partByLoad({ load }: Server, { least, most }: Rules): { part: number; because: string } {
  if (load === null) return { part: 1, because: '' };
  const part = Math.min(most, Math.max(least, 1 - load));
  return { part: Math.round(part * 100) / 100, because: `load ${Math.round(load * 100) / 100}` };
}

function partByStart({ backAtMs }: Server, atMs: number, { slowStart }: Rules): { part: number; because: string } {
  if (slowStart === null || backAtMs === null) return { part: 1, because: '' };
  const { durationMs, from, steps } = slowStart;
  const step = Math.floor(((atMs - backAtMs) / durationMs) * steps);
  if (step >= steps) return { part: 1, because: '' };
  return { part: from + (1 - from) * (step / steps), because: `slow start, step ${step} of ${steps}` };
}

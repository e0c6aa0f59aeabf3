/** A log of changes: a {@link Control} that tells of everything it was asked to change, and did. */
import type { Control } from '../ipvsadm/control.ts';
import type { DestinationKey, ServiceKey } from '../services/config.ts';

/** Takes one change: what it was, and what it was done to. */
export type Recorder = (what: string, details: Readonly<Record<string, unknown>>) => void;

function named(key: ServiceKey): string {
  if (!('address' in key)) return `fwmark ${key.fwmark}${key.family === 6 ? ' IPv6' : ''}`;
  return `${key.protocol} ${endpoint(key)}`;
}

function endpoint({ address, port }: DestinationKey): string {
  const host = address.includes(':') ? `[${address}]` : address;
  return port === undefined ? host : `${host}:${port}`;
}

/** The control, with every change told to the recorder once it is made. */
export function recordChanges(control: Control, record: Recorder): Control {
  const after = (act: () => void, what: string, details: Readonly<Record<string, unknown>>) => {
    act();
    record(what, details);
  };
  return {
    addService: (key, options) =>
      after(() => control.addService(key, options), 'service added', { service: named(key), ...options }),
    editService: (key, options) =>
      after(() => control.editService(key, options), 'service changed', { service: named(key), ...options }),
    deleteService: (key) => after(() => control.deleteService(key), 'service deleted', { service: named(key) }),
    flush: () => after(() => control.flush(), 'all services deleted', {}),
    zero: (key) => after(() => control.zero(key), 'counters zeroed', key === undefined ? {} : { service: named(key) }),
    addDestination: (key, server, options) =>
      after(() => control.addDestination(key, server, options), 'server added', {
        service: named(key),
        server: endpoint(server),
        ...options,
      }),
    editDestination: (key, server, options) =>
      after(() => control.editDestination(key, server, options), 'server changed', {
        service: named(key),
        server: endpoint(server),
        ...options,
      }),
    deleteDestination: (key, server) =>
      after(() => control.deleteDestination(key, server), 'server deleted', {
        service: named(key),
        server: endpoint(server),
      }),
    setTimeouts: (timeouts) => after(() => control.setTimeouts(timeouts), 'timeouts set', timeouts),
    startDaemon: (options) => after(() => control.startDaemon(options), 'sync daemon started', { ...options }),
    stopDaemon: (role) => after(() => control.stopDaemon(role), 'sync daemon stopped', { role }),
    getTimeouts: () => control.getTimeouts(),
    services: () => control.services(),
    service: (key) => control.service(key),
    connections: () => control.connections(),
    daemons: () => control.daemons(),
  };
}

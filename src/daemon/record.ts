/** A log of changes: a {@link Control} that tells of everything it was asked to change, and did. */
import type { Control } from '../ipvsadm/control.ts';
import { destinationName, serviceName } from '../services/naming.ts';

/** Takes one change: what it was, and what it was done to. */
export type Recorder = (what: string, details: Readonly<Record<string, unknown>>) => void;

/** The control, with every change told to the recorder once it is made. */
export function recordChanges(control: Control, record: Recorder): Control {
  const after = (act: () => void, what: string, details: Readonly<Record<string, unknown>>) => {
    act();
    record(what, details);
  };
  return {
    addService: (key, options) =>
      after(() => control.addService(key, options), 'service added', { service: serviceName(key), ...options }),
    editService: (key, options) =>
      after(() => control.editService(key, options), 'service changed', { service: serviceName(key), ...options }),
    deleteService: (key) => after(() => control.deleteService(key), 'service deleted', { service: serviceName(key) }),
    flush: () => after(() => control.flush(), 'all services deleted', {}),
    zero: (key) =>
      after(() => control.zero(key), 'counters zeroed', key === undefined ? {} : { service: serviceName(key) }),
    addDestination: (key, server, options) =>
      after(() => control.addDestination(key, server, options), 'server added', {
        service: serviceName(key),
        server: destinationName(server),
        ...options,
      }),
    editDestination: (key, server, options) =>
      after(() => control.editDestination(key, server, options), 'server changed', {
        service: serviceName(key),
        server: destinationName(server),
        ...options,
      }),
    deleteDestination: (key, server) =>
      after(() => control.deleteDestination(key, server), 'server deleted', {
        service: serviceName(key),
        server: destinationName(server),
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

import type {
  ConnectionEntry,
  DaemonEntry,
  DaemonOptions,
  DaemonRole,
  DestinationKey,
  DestinationOptions,
  ServiceEntry,
  ServiceKey,
  ServiceOptions,
  Timeouts,
} from '../services/config.ts';

/**
 * What `ipvsadm` needs of a director. A Director is one; the command's other uses (a director in another process) bring
 * their own. All methods throw {@link DirectorError} and change nothing when they do.
 */
export interface Control {
  addService(key: ServiceKey, options?: ServiceOptions): void;
  /** Changes the service to exactly these options, as `-E` does: what is not given returns to its default. */
  editService(key: ServiceKey, options?: ServiceOptions): void;
  deleteService(key: ServiceKey): void;
  /** Removes all services. Connections stay until they expire. */
  flush(): void;
  /** Zeroes the counters of one service, or of everything. */
  zero(key?: ServiceKey): void;
  addDestination(key: ServiceKey, destination: DestinationKey, options?: DestinationOptions): void;
  /** Changes the destination to exactly these options: what is not given returns to its default. */
  editDestination(key: ServiceKey, destination: DestinationKey, options?: DestinationOptions): void;
  deleteDestination(key: ServiceKey, destination: DestinationKey): void;
  setTimeouts(timeouts: Partial<Timeouts>): void;
  getTimeouts(): Timeouts;
  /** All services, in the kernel's order (that of its hash table: no order to rely on). */
  services(): ServiceEntry[];
  /** One service. @throws DirectorError ERR_NO_SUCH_SERVICE */
  service(key: ServiceKey): ServiceEntry;
  connections(): Iterable<ConnectionEntry>;
  startDaemon(options: DaemonOptions): void;
  stopDaemon(role: DaemonRole): void;
  daemons(): DaemonEntry[];
}

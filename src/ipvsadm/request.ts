import type {
  DaemonOptions,
  DaemonRole,
  DestinationKey,
  DestinationOptions,
  ServiceKey,
  ServiceOptions,
  Timeouts,
} from '../services/config.ts';

/** Which columns a listing of services has. */
export type ServiceView = 'default' | 'stats' | 'rate' | 'thresholds' | 'persistent-conn' | 'tun-info';

/** What `-L` is to list. */
export type ListRequest =
  | { readonly what: 'timeouts' | 'daemons' }
  | { readonly what: 'connections'; readonly numeric: boolean; readonly engines: boolean }
  | {
      readonly what: 'services';
      /** The one service that was asked for, or all. */
      readonly key: ServiceKey | undefined;
      readonly view: ServiceView;
      readonly numeric: boolean;
      readonly exact: boolean;
      readonly sorted: boolean;
    };

/** A command line that ipvsadm finds no fault with. */
export type Request =
  | { readonly command: 'add-service' | 'edit-service'; readonly key: ServiceKey; readonly options: ServiceOptions }
  | { readonly command: 'delete-service'; readonly key: ServiceKey }
  | {
      readonly command: 'add-server' | 'edit-server';
      readonly key: ServiceKey;
      readonly destination: DestinationKey;
      readonly options: DestinationOptions;
    }
  | { readonly command: 'delete-server'; readonly key: ServiceKey; readonly destination: DestinationKey }
  | { readonly command: 'flush' | 'restore' }
  | { readonly command: 'save'; readonly numeric: boolean }
  | { readonly command: 'zero'; readonly key: ServiceKey | undefined }
  | { readonly command: 'list'; readonly list: ListRequest }
  | { readonly command: 'set'; readonly timeouts: Partial<Timeouts> }
  | { readonly command: 'start-daemon'; readonly options: DaemonOptions }
  | { readonly command: 'stop-daemon'; readonly role: DaemonRole };

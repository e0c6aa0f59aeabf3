import { invalidOption } from './errors.ts';
import { TICKS_PER_SECOND } from './ticks.ts';

/**
 * The tunables of /proc/sys/net/ipv4/vs that have a meaning outside a kernel, under their kernel names and with their
 * kernel defaults (kernel documentation: ipvs-sysctl.rst). The frame path reads them as plain numbers.
 */
export class SysctlValues {
  /** 1 of this many new connections is dropped when drop_packet is 3. */
  am_droprate = 10;
  /** While a backup daemon runs, leave packets from clients alone. */
  backup_only = 0;
  /** The automatic defences engage when fewer than this many more connections fit in the table. */
  amemthresh = 1024;
  /** For new connections to a firewall-mark service without a server: send them to where they were going. */
  cache_bypass = 0;
  /** Whether a SYN that reuses a client port is scheduled anew: 0 never, bit 0 in TIME_WAIT and CLOSE, bit 1 in FIN_WAIT too. */
  conn_reuse_mode = 1;
  /** Drop connections at random: 0 never, 1 when the table gets full (2 while it is), 3 always. */
  drop_entry = 0;
  /** Drop some new connections: 0 never, 1 when the table gets full (2 while it is), 3 one of am_droprate. */
  drop_packet = 0;
  /** End connections of servers that were removed, or have weight 0, at their next packet. */
  expire_nodest_conn = 0;
  /** Weight 0 makes persistence templates invalid. */
  expire_quiescent_template = 0;
  /** Seconds an lblc cache entry lives without being used. */
  lblc_expiration = 86400;
  /** Seconds an lblcr cache entry lives without being used, and after which a server set shrinks. */
  lblcr_expiration = 86400;
  /** Tell a NAT server by ICMP that a packet of its has no connection. */
  nat_icmp_send = 0;
  /** Copy "don't fragment" to tunnel headers and report the path MTU. */
  pmtu_disc = 1;
  /** Run the rate estimator. */
  run_estimation = 1;
  /** Let ICMP errors be scheduled like packets of the connection they are about. */
  schedule_icmp = 0;
  /** Use the stricter TCP state table: 0 never, 1 when the table gets full (2 while it is), 3 always. */
  secure_tcp = 0;
  /** Let any SCTP packet open a connection, not just an INIT. */
  sloppy_sctp = 0;
  /** Let any TCP packet open a connection, not just a SYN. */
  sloppy_tcp = 0;
  /** Tell backups of templates instead of the connections that hang on them. */
  sync_persist_mode = 0;
  /** Ports that the next daemon to start spreads its messages over. */
  sync_ports = 1;
  /** Messages that may wait to be sent, on each port; more are lost. (Linux takes a 32nd of the free memory's pages.) */
  sync_qlen_max = 4096;
  /** Seconds by which a connection's expiry must change before backups are told again; 0 goes by packets alone. */
  sync_refresh_period = 0;
  /** How often backups are told again within sync_refresh_period. */
  sync_retries = 0;
  /** Bytes that the sockets of a socket transport should keep; 0 is the system's choice. No meaning on the director's own interfaces. */
  sync_sock_size = 0;
  /** Backups are told of a connection at its 3rd packet, 53rd, 103rd ...: as text two numbers, this one and sync_period. */
  sync_threshold = 3;
  sync_period = 50;
  /** Version of the protocol that the master speaks. */
  sync_version = 1;
}

/** `sync_period` is the second number of `sync_threshold`. */
export type SysctlName = Exclude<keyof SysctlValues, 'sync_period'>;

/** Largest value of the tunables that are no plain switch. */
const LIMITS: Partial<Record<SysctlName, number>> = {
  am_droprate: 2 ** 31 - 1,
  amemthresh: 2 ** 31 - 1,
  conn_reuse_mode: 3,
  drop_entry: 3,
  drop_packet: 3,
  lblc_expiration: 2 ** 31 - 1,
  lblcr_expiration: 2 ** 31 - 1,
  secure_tcp: 3,
  sync_ports: 64,
  sync_qlen_max: 2 ** 31 - 1,
  sync_refresh_period: Math.floor((2 ** 31 - 1) / TICKS_PER_SECOND),
  sync_retries: 3,
  sync_sock_size: 2 ** 31 - 1,
  sync_threshold: 2 ** 31 - 1,
};

/** The names of all tunables. */
export function sysctlNames(): SysctlName[] {
  return Object.keys(new SysctlValues()).filter((name) => name !== 'sync_period') as SysctlName[];
}

/** The largest value that a tunable takes. */
export function sysctlLimit(name: SysctlName): number {
  return LIMITS[name] ?? 1;
}

/** The tunables of a director: `director.sysctl.set('expire_nodest_conn', 1)`. */
export interface Sysctl {
  /** The names of all tunables. */
  names(): SysctlName[];
  /** The value; of `sync_threshold` the first number. @throws DirectorError ERR_INVALID_OPTION for an unknown name. */
  get(name: string): number;
  /** The value as text: `3 50` for `sync_threshold`. @throws DirectorError ERR_INVALID_OPTION for an unknown name. */
  text(name: string): string;
  /**
   * Sets a tunable; a leading `net.ipv4.vs.` is understood. Takes effect at the next packet. `sync_threshold` takes its
   * two numbers as text (`'3 50'`); with one alone the second stays.
   * @throws DirectorError ERR_INVALID_OPTION for an unknown name or a value that is none of its own.
   */
  set(name: string, value: number | string): void;
}

/** Tunables that are read and set by name, checked. */
export class SysctlTable implements Sysctl {
  readonly #values: SysctlValues;
  readonly #changed: (name: SysctlName) => void;

  constructor(values: SysctlValues, changed: (name: SysctlName) => void) {
    this.#values = values;
    this.#changed = changed;
  }

  names(): SysctlName[] {
    return sysctlNames();
  }

  get(name: string): number {
    return this.#values[this.#check(name)];
  }

  text(name: string): string {
    const known = this.#check(name);
    const value = String(this.#values[known]);
    return known === 'sync_threshold' ? `${value} ${this.#values.sync_period}` : value;
  }

  set(name: string, value: number | string): void {
    const known = this.#check(name);
    if (known === 'sync_threshold') this.#setThreshold(value);
    else this.#values[known] = number(known, value, known === 'sync_ports' ? 1 : 0);
    this.#changed(known);
  }

  #setThreshold(value: number | string): void {
    if (typeof value !== 'number' && typeof value !== 'string') {
      throw invalidOption('sysctl sync_threshold', value, 'a number, or two numbers as text');
    }
    const [first, second = this.#values.sync_period, ...rest] = String(value).trim().split(/\s+/);
    const threshold = number('sync_threshold', first, 0);
    const period = number('sync_threshold', second, 0);
    if (rest.length > 0 || (period !== 0 && threshold >= period)) {
      throw invalidOption('sysctl sync_threshold', value, 'a number of packets and a larger period, or the period 0');
    }
    this.#values.sync_threshold = threshold;
    this.#values.sync_period = period;
  }

  #check(name: string): SysctlName {
    const short = typeof name === 'string' ? name.replace(/^net[./]ipv4[./]vs[./]/, '') : '';
    if (!Object.hasOwn(this.#values, short) || short === 'sync_period')
      throw invalidOption('sysctl', name, 'a tunable of this director');
    return short as SysctlName;
  }
}

function number(name: SysctlName, value: number | string | undefined, min: number): number {
  const limit = sysctlLimit(name);
  const parsed = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof parsed !== 'number' || !Number.isInteger(parsed) || parsed < min || parsed > limit) {
    throw invalidOption(`sysctl ${name}`, value, `an integer from ${min} to ${limit}`);
  }
  if (name === 'sync_ports' && (parsed & (parsed - 1)) !== 0) {
    throw invalidOption(`sysctl ${name}`, value, 'a power of two');
  }
  return parsed;
}

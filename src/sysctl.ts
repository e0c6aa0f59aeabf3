import { invalidOption } from './errors.ts';

/**
 * The tunables of /proc/sys/net/ipv4/vs that have a meaning outside a kernel, under their kernel names and with their
 * kernel defaults (kernel documentation: ipvs-sysctl.rst). The frame path reads them as plain numbers.
 */
export class SysctlValues {
  /** 1 of this many new connections is dropped when drop_packet is 3. */
  am_droprate = 10;
  /** For new connections to a firewall-mark service without a server: send them to where they were going. */
  cache_bypass = 0;
  /** Whether a SYN that reuses a client port is scheduled anew: 0 never, bit 0 in TIME_WAIT and CLOSE, bit 1 in FIN_WAIT too. */
  conn_reuse_mode = 1;
  /** 3 drops 1 of am_droprate new connections. */
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
  /** 3 uses the stricter TCP state table. */
  secure_tcp = 0;
  /** Let any SCTP packet open a connection, not just an INIT. */
  sloppy_sctp = 0;
  /** Let any TCP packet open a connection, not just a SYN. */
  sloppy_tcp = 0;
}

export type SysctlName = keyof SysctlValues;

/** Largest value of the tunables that are no plain switch. */
const LIMITS: Partial<Record<SysctlName, number>> = {
  am_droprate: 2 ** 31 - 1,
  conn_reuse_mode: 3,
  drop_packet: 3,
  lblc_expiration: 2 ** 31 - 1,
  lblcr_expiration: 2 ** 31 - 1,
  secure_tcp: 3,
};

/** The tunables of a director: `director.sysctl.set('expire_nodest_conn', 1)`. */
export class Sysctl {
  readonly #values: SysctlValues;
  readonly #changed: (name: SysctlName) => void;

  constructor(values: SysctlValues, changed: (name: SysctlName) => void) {
    this.#values = values;
    this.#changed = changed;
  }

  /** The names of all tunables. */
  names(): SysctlName[] {
    return Object.keys(this.#values) as SysctlName[];
  }

  /** @throws DirectorError ERR_INVALID_OPTION for an unknown name. */
  get(name: string): number {
    return this.#values[this.#check(name)];
  }

  /**
   * Sets a tunable; a leading `net.ipv4.vs.` is understood. Takes effect at the next packet.
   * @throws DirectorError ERR_INVALID_OPTION for an unknown name or a value that is none of its own.
   */
  set(name: string, value: number): void {
    const known = this.#check(name);
    const limit = LIMITS[known] ?? 1;
    if (!Number.isInteger(value) || value < 0 || value > limit) {
      throw invalidOption(`sysctl ${known}`, value, `an integer from 0 to ${limit}`);
    }
    this.#values[known] = value;
    this.#changed(known);
  }

  #check(name: string): SysctlName {
    const short = typeof name === 'string' ? name.replace(/^net[./]ipv4[./]vs[./]/, '') : name;
    if (!Object.hasOwn(this.#values, short)) throw invalidOption('sysctl', name, 'a tunable of this director');
    return short as SysctlName;
  }
}

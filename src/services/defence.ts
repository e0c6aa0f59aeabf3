/**
 * The defences against overload: `drop_packet`, `drop_entry` and `secure_tcp` (kernel behaviour: ip_vs_ctl.c,
 * update_defense_level).
 *
 * Linux engages them when it has fewer than `amemthresh` pages of memory left. Here memory is given out beforehand, and
 * what runs out is the connection table: they engage when fewer than `amemthresh` connections are left in it.
 */
import type { SysctlValues } from '../sysctl.ts';

/** Values of the three tunables. */
const OFF = 0;
/** On while there is need, and that is not now. */
const AUTOMATIC = 1;
/** On because there is need; back to AUTOMATIC afterwards. */
const ENGAGED = 2;
const ALWAYS = 3;

type Knob = 'drop_entry' | 'drop_packet' | 'secure_tcp';

export class Defence {
  readonly #sysctl: SysctlValues;
  /** Of this many new connections one is dropped; 0 for none. */
  dropRate = 0;
  #countdown = 0;
  /** Whether connections are to be dropped at random each second. */
  dropEntry = false;
  /** Whether the stricter TCP state table is in force. */
  secureTcp = false;

  constructor(sysctl: SysctlValues) {
    this.#sysctl = sysctl;
  }

  /** Takes the situation into account: how many more connections there may be. Called each second and when a tunable is set. */
  update(free: number): void {
    const sysctl = this.#sysctl;
    const need = free < sysctl.amemthresh;
    this.dropEntry = this.#engage('drop_entry', need);
    this.secureTcp = this.#engage('secure_tcp', need);
    const dropPacket = this.#engage('drop_packet', need);
    if (!dropPacket) this.dropRate = 0;
    else if (sysctl.drop_packet === ALWAYS) this.dropRate = sysctl.am_droprate;
    else {
      this.dropRate = Math.floor(sysctl.amemthresh / (sysctl.amemthresh - free));
      this.#countdown = this.dropRate;
    }
  }

  #engage(knob: Knob, need: boolean): boolean {
    const value = this.#sysctl[knob];
    if (value === OFF || value === ALWAYS) return value === ALWAYS;
    this.#sysctl[knob] = need ? ENGAGED : AUTOMATIC;
    return need;
  }

  /** Whether the new connection at hand is the one in so many that is dropped. */
  dropsNext(): boolean {
    if (this.dropRate === 0 || --this.#countdown > 0) return false;
    this.#countdown = this.dropRate;
    return true;
  }
}

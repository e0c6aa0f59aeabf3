import { networkOf } from './ipv4-address.ts';
import type { MemoryInterface } from './memory-interface.ts';

/** A way to a network: out of an interface, to a gateway where the network is not on the interface's own wire. */
export interface Route {
  /** The network's address and prefix length. */
  readonly network: number;
  readonly length: number;
  readonly gateway: number | undefined;
  readonly out: MemoryInterface;
}

/** Routes by longest prefix; among equal ones the first that was added. */
export class RouteTable {
  readonly #routes: Route[] = [];

  add(route: Route): void {
    const at = this.#routes.findIndex((other) => other.length < route.length);
    this.#routes.splice(at < 0 ? this.#routes.length : at, 0, route);
  }

  find(destination: number): Route | undefined {
    return this.#routes.find((route) => networkOf(destination, route.length) === route.network);
  }
}

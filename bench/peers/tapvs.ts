/** This project's director, on a TAP. */
import { fileURLToPath } from 'node:url';
import { Program } from '../programs.ts';
import { CONTENDER_CORE, offersOf, type Place, type WayBack } from './arena.ts';
import { CONNECTIONS, type Contender, LIMIT_MS } from './contender.ts';
import type { Task } from './director-process.ts';

/** Lines for ipvsadm that make the place's services. @param method one of ipvsadm's letters, `g` or `m`. */
export function ipvsadmLines(place: Place, method: 'g' | 'm'): string[] {
  return offersOf(place).flatMap(({ port, servers }) => [
    `-A -t ${place.vip}:${port} -s rr`,
    ...servers.map((server) => `-a -t ${place.vip}:${port} -r ${server}:${port} -${method}`),
  ]);
}

function contender(name: string, host: string, method: 'g' | 'm', wayBack: WayBack): Contender {
  return {
    name,
    host,
    wayBack,
    hasHost: false,
    start: async (arena, place, cleanup) => {
      const task: Task = {
        tap: `${host}0`,
        namespace: arena.switchNamespace,
        mac: place.mac,
        address: place.prefix,
        maxConnections: CONNECTIONS,
        commands: ipvsadmLines(place, method),
      };
      const script = fileURLToPath(new URL('./director-process.js', import.meta.url));
      const pin = ['taskset', '--cpu-list', `${CONTENDER_CORE}`];
      const program = new Program(cleanup, LIMIT_MS, [...pin, process.execPath, script, JSON.stringify(task)]);
      await program.prints(/^running$/m);
      arena.plugIn(task.tap);
      return { pid: program.pid, mostConnections: CONNECTIONS, stop: () => program.stop('SIGKILL') };
    },
  };
}

/** By direct routing: the servers answer the clients themselves. */
export const tapvsRoute: Contender = contender('tapvs, DR', 'tapvsdr', 'g', 'direct');
/** By masquerading: the servers' answers come back through the director. */
export const tapvsMasq: Contender = contender('tapvs, NAT', 'tapvsnat', 'm', 'gateway');

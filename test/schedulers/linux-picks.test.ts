import { readFileSync } from 'node:fs';
import test from 'ava';
import type { Family } from '../../src/address.ts';
import { SCHEDULERS } from '../../src/schedulers/index.ts';
import type { Destination } from '../../src/services/destination.ts';
import { Bench, packet } from './fixture.ts';

interface Scenario {
  readonly name: string;
  readonly family: Family;
  readonly lines: string[][];
}

function read(): Scenario[] {
  const text = readFileSync(new URL('../../../test/schedulers/linux-picks.txt', import.meta.url), 'utf8');
  const scenarios: Scenario[] = [];
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const words = line.split(' ');
    if (words[0] === 'scenario') {
      scenarios.push({ name: words[1], family: words[2] === '6' ? 6 : 4, lines: [] });
    } else {
      scenarios.at(-1)!.lines.push(words);
    }
  }
  return scenarios;
}

/** Plays the scenario and returns the lines of all connections, with the server chosen here at the end. */
function play({ family, lines }: Scenario): string[] {
  const bench = new Bench(SCHEDULERS.get('rr')!, family);
  const places = new Map<string, { address: string; port: number }>();
  const servers = new Map<string, Destination>();
  const played: string[] = [];
  for (const [verb, ...words] of lines) {
    const [name] = words as [string];
    const server = servers.get(name);
    const numbers = words.slice(1).map(Number) as [number, number, number];
    switch (verb) {
      case 'use':
        bench.use(SCHEDULERS.get(name)!);
        break;
      case 'flags':
        bench.service.flags = Number(name);
        break;
      case 'server':
        places.set(name, { address: words[1], port: Number(words[2]) });
        break;
      case 'add': {
        const { address, port } = places.get(name)!;
        servers.set(
          name,
          server === undefined ? bench.add(address, numbers[0], port) : bench.revive(server, numbers[0]),
        );
        break;
      }
      case 'edit':
        bench.edit(server!, numbers[0]);
        break;
      case 'delete':
        bench.delete(server!);
        break;
      case 'load':
        server!.activeConns = numbers[0];
        server!.inactConns = numbers[1];
        server!.overloaded = numbers[2] === 1;
        break;
      case 'pick': {
        const [protocol, source, sourcePort, destination, destinationPort] = words as [
          string,
          string,
          string,
          string,
          string,
        ];
        const chosen = bench.pick(
          packet({
            protocol: Number(protocol),
            source,
            sourcePort: Number(sourcePort),
            destination,
            destinationPort: Number(destinationPort),
            inverse: words[5] === 'inverse',
          }),
        );
        const letter = [...servers].find(([, candidate]) => candidate === chosen)?.[0] ?? '-';
        played.push([verb, ...words.slice(0, -1), letter].join(' '));
      }
    }
  }
  return played;
}

for (const scenario of read()) {
  test(`chooses as Linux does: ${scenario.name}`, (t) => {
    const recorded = scenario.lines.filter(([verb]) => verb === 'pick').map((words) => words.join(' '));
    t.true(recorded.length > 5);
    t.deepEqual(play(scenario), recorded);
  });
}

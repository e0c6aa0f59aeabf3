/** The last part of an explanation: what the frame's way, tried on the stand-in, has made, changed and sent. */
import { formatAddress } from '../../address.ts';
import type { Connections } from '../../conntrack/connections.ts';
import { CONTROL, META } from '../../conntrack/layout.ts';
import type { Host } from '../../host/host.ts';
import type { Neighbour, WaitingPacket } from '../../host/neighbours.ts';
import { connectionEntry } from '../../listing.ts';
import { DST, type Packet, SRC } from '../../packet/dissect.ts';
import { printFrame, printPacket } from '../../packet/print.ts';
import { nameOf } from '../../schedulers/reasoning.ts';
import type { ConnectionEntry } from '../../services/config.ts';
import { VERDICT_TEXTS, type VerdictName } from '../../verdicts.ts';
import { type Arrived, packetOf, readPacket } from './arrival.ts';
import type { Story } from './explanation.ts';
import { isTemplate } from './search.ts';
import { type Asked, neighboursOf, type SentFrame, type StandIn } from './stand-in.ts';
import { connectionText, endOf, neighbourText } from './words.ts';

/** Verdicts of packets that go on, changed or not. */
const ON_ITS_WAY: ReadonlySet<VerdictName> = new Set(['MASQ', 'TUNNEL', 'ROUTE', 'BYPASS', 'REPLY', 'FORWARDED']);

/** How connections were before the frame came, to tell what it has changed. */
export interface Before {
  /** State bits of each copied connection. */
  readonly states: ReadonlyMap<number, number>;
  readonly connections: Connections;
}

export function stateBefore(connections: Connections, copied: ReadonlySet<number>): Before {
  const { rows } = connections.table;
  return { connections, states: new Map(Array.from(copied, (row) => [row, rows[row + META] >>> 24])) };
}

/** Tells of templates, schedulers that were asked, and connections. */
export function tellConnections(story: Story, standIn: StandIn, before: Before): void {
  for (const asked of standIn.asked) tellAsked(story, asked);
  const { connections, states } = before;
  const { table } = connections;
  table.forEach((row) => {
    const entry = connectionEntry(connections, row, 0);
    const state = states.get(row);
    const template = isTemplate(connections, row);
    if (state === undefined) {
      const control = table.rows[row + CONTROL];
      if (states.has(control)) tellHangsOn(story, connectionEntry(connections, control, 0));
      tellMade(story, entry, template);
    } else if (state !== table.rows[row + META] >>> 24) {
      story.tell(template ? 'template' : 'state', `becomes ${entry.state}; expires in ${entry.expiresInSeconds} s`);
    }
  });
}

/** A connection follows a template that was there, so that no scheduler was asked. */
function tellHangsOn(story: Story, template: ConnectionEntry): void {
  const { clientAddress, destinationAddress, expiresInSeconds } = template;
  story.tell(
    'template',
    `clients of ${clientAddress} go to ${destinationAddress}: no scheduler is asked; from now on it expires in ${expiresInSeconds} s`,
  );
}

function tellMade(story: Story, entry: ConnectionEntry, template: boolean): void {
  if (template) {
    story.tell(
      'template',
      `made: clients like this one go to ${entry.destinationAddress} for the next ${entry.expiresInSeconds} s`,
    );
    return;
  }
  story.tell('connection', `made: ${connectionText(entry)}`, [
    `${entry.state}, expires in ${entry.expiresInSeconds} s`,
  ]);
}

function tellAsked(story: Story, { service, reasoning, chosen }: Asked): void {
  const name = service.factory?.name ?? 'none';
  const result = chosen === null ? 'nobody' : nameOf(chosen);
  if (reasoning === null) {
    story.tell('scheduler', `${name} is your own and cannot be asked without effect; say it chooses ${result}`);
    return;
  }
  if (service.destinations.length === 0) {
    story.tell('scheduler', `${name} chooses nobody: the service has no servers`);
    return;
  }
  const width = Math.max(0, ...reasoning.compared.map(({ destination }) => nameOf(destination).length));
  story.tell(
    'scheduler',
    `${name} chooses ${reasoning.choice === undefined ? `by chance, say ${result}` : result}: ${reasoning.rule}`,
    reasoning.compared.map(
      ({ destination, value }) =>
        `${destination === chosen ? '>' : ' '} ${nameOf(destination).padEnd(width)}  ${value}`,
    ),
  );
}

/** Tells what would be sent, by which way, and how it ends. */
export function tellEnd(story: Story, standIn: StandIn, arrived: Arrived | null, verdict: VerdictName): void {
  const { host } = standIn.parts;
  if (arrived !== null) tellRewrite(story, standIn, arrived, verdict);
  tellWaiting(story, standIn);
  for (const one of standIn.sent) tellSent(story, one, host);
  if (standIn.sent.length === 0) story.tell('out', 'nothing is sent');
  story.tell('verdict', `${verdict}: ${VERDICT_TEXTS[verdict]}`);
}

/** What becomes of the packet itself on its way on. */
function tellRewrite(story: Story, standIn: StandIn, { view, packet }: Arrived, verdict: VerdictName): void {
  if (!ON_ITS_WAY.has(verdict)) return;
  const kept = neighboursOf(standIn.parts.host)
    .flatMap((neighbour) => keptNow(standIn, neighbour))
    .at(-1);
  const last = standIn.sent.at(-1)?.frame;
  const out = kept !== undefined ? readPacket(kept.bytes, 0) : last !== undefined ? packetOf(last) : null;
  if (out === null) return;
  const { packet: changed } = out;
  const hops = (of: DataView, { family, ip }: Packet) => of.getUint8(ip + (family === 4 ? 8 : 7));
  const changes: string[] = [];
  if (verdict === 'TUNNEL') {
    const { family, address, length } = changed;
    const ends = `${formatAddress(family, address, SRC)} > ${formatAddress(family, address, DST)}`;
    changes.push(`the packet is wrapped: ${length - packet.length} bytes of outer headers, ${ends}, in front of it`);
  } else {
    for (const [name, at, port, newPort] of [
      ['source', SRC, packet.sourcePort, changed.sourcePort],
      ['destination', DST, packet.destinationPort, changed.destinationPort],
    ] as const) {
      const from = endOf(packet.family, packet.address, at, port);
      const to = endOf(changed.family, changed.address, at, newPort);
      if (from !== to) changes.push(`${name} ${from} becomes ${to}`);
    }
    const [before, after] = [hops(view, packet), hops(out.view, changed)];
    if (before !== after) changes.push(`${packet.family === 4 ? 'TTL' : 'hop limit'} ${before} becomes ${after}`);
    if (verdict === 'ROUTE') changes.push('the MAC addresses, and nothing else');
  }
  story.tell('rewrite', changes.join('; '));
}

/** The packets that wait for the neighbour's MAC address since this frame came. */
function keptNow({ waited }: StandIn, { waiting }: Neighbour): WaitingPacket[] {
  return waiting.filter((packet) => !waited.has(packet));
}

/** Tells whose MAC address is missing. */
function tellWaiting(story: Story, standIn: StandIn): void {
  for (const neighbour of neighboursOf(standIn.parts.host)) {
    const kept = keptNow(standIn, neighbour);
    if (kept.length === 0) continue;
    const { family, words, interface: on } = neighbour;
    const question = family === 4 ? 'ARP' : 'neighbour discovery';
    const address = formatAddress(family, words);
    const waiting = kept.map(({ bytes }) => printPacket(new DataView(bytes.buffer), 0, bytes.length));
    const what = `the MAC address of ${address} is not known on ${on.name}: it is asked for by ${question}; until then waits`;
    story.tell('neighbour', what, waiting);
  }
}

function tellSent(story: Story, { device, frame }: SentFrame, host: Host): void {
  const taken = packetOf(frame);
  const line = printFrame(new DataView(frame.buffer, frame.byteOffset, frame.length), 0, frame.length);
  if (taken !== null) {
    const { family, address } = taken.packet;
    const route = host.route(family, address, DST);
    if (route !== null) {
      const to = formatAddress(family, address, DST);
      const next = route.gateway === null ? to : formatAddress(family, route.gateway);
      const way =
        route.gateway === null
          ? `${to} is on the link of ${route.interface.name}`
          : `${to} is behind ${next} on ${route.interface.name}`;
      const near = route.gateway ?? address;
      const neighbour = route.interface.neighbours(family).get(near, route.gateway === null ? DST : 0);
      story.tell('route', `${way}; ${neighbourText(next, neighbour)}`);
    }
  }
  story.tell('out', `on ${device}`, [line]);
}

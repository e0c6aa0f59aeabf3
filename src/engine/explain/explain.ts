/**
 * Says what would happen to a packet, and why, without sending or changing anything: the packet's way is tried on a copy
 * of what matters for it (stand-in.ts), through the same frame path that real packets take. What is said of the reasons
 * is read from the same tables.
 */
import { type Family, tryParseAddress, type Words } from '../../address.ts';
import { invalidOption } from '../../errors.ts';
import type { Interface } from '../../host/interface.ts';
import { buildFrame } from '../../packet/build.ts';
import type { PacketFields } from '../../packet/build-fields.ts';
import { DST, type Packet, SRC } from '../../packet/dissect.ts';
import { PROTO_ICMP, PROTO_ICMPV6 } from '../../packet/ipv4.ts';
import { readAddress } from '../../packet/ipv6.ts';
import { parsePacket } from '../../packet/parse.ts';
import { printFrame } from '../../packet/print.ts';
import { optionsOf } from '../../services/settings.ts';
import { VERDICT_NAMES, type VerdictName } from '../../verdicts.ts';
import type { Parts } from '../parts.ts';
import { packetOf, tellArrival } from './arrival.ts';
import { type ExplainOptions, type Explanation, layOut, Story } from './explanation.ts';
import { stateBefore, tellConnections, tellEnd } from './outcome.ts';
import { tellSearch } from './search.ts';
import { type StandInDevice, standInFor } from './stand-in.ts';

/** Where packets that are given as text come from on the link. */
const SOMEBODY = '02:00:00:00:00:fe';
/** An ICMP error's own header, and as many bytes of those within it as hold addresses. */
const HEADERS_WITHIN = 256;
const HEX = /^(?:[0-9a-f]{2}[\s:]?)+$/i;

/**
 * @param given a frame as bytes or as hexadecimal text, or a packet in a line as `parsePacket` reads it.
 * @throws DirectorError ERR_INVALID_OPTION
 */
export function explain(live: Parts, given: string | Uint8Array, options: ExplainOptions = {}): Explanation {
  optionsOf('options', options, ['interface']);
  const { frame, on } = frameFor(live, given, options);
  const taken = packetOf(frame);
  const family = taken?.packet.family ?? 4;
  const standIn = standInFor(live, family, taken === null ? [] : addressesOf(taken.view, taken.packet));
  const { parts, sent } = standIn;

  const story = new Story();
  const arrived = tellArrival(story, parts, frame, parts.host.interfaces[on.index]);
  if (arrived !== null) tellSearch(story, parts, arrived);
  const connections = family === 4 ? parts.connections4 : parts.connections6;
  const before = stateBefore(connections, family === 4 ? standIn.copied4 : standIn.copied6);
  const verdict = play(parts, frame, on);
  tellConnections(story, standIn, before);
  tellEnd(story, standIn, arrived, verdict);

  const certain = standIn.asked.every(({ reasoning }) => reasoning !== null && reasoning.choice !== undefined);
  return {
    frame,
    interface: on.name,
    steps: story.steps,
    verdict,
    sent: sent.map(({ device, frame: one }) => ({ device, frame: one, line: print(one) })),
    certain,
    text: layOut(print(frame), story.steps),
  };
}

function print(frame: Uint8Array): string {
  return printFrame(new DataView(frame.buffer, frame.byteOffset, frame.length), 0, frame.length);
}

/** Lets the frame path have the frame. */
function play({ pipeline, lines }: Parts, frame: Uint8Array, on: Interface): VerdictName {
  const line = lines.find(({ interfaces }) => interfaces.some(({ index }) => index === on.index))!;
  (line.port.device as StandInDevice).waiting = frame;
  pipeline.processBurst(line.port, line.interfaces, 0);
  return VERDICT_NAMES[pipeline.verdicts.findIndex((count) => count > 0)];
}

/** The frame, and the interface that it comes in on. */
function frameFor(
  live: Parts,
  given: string | Uint8Array,
  options: ExplainOptions,
): { frame: Uint8Array; on: Interface } {
  if (given instanceof Uint8Array) return { frame: given.slice(), on: interfaceFor(live, options, null) };
  if (typeof given !== 'string') throw invalidOption('packet', given, 'a frame as bytes, or text');
  if (HEX.test(given.trim())) {
    const bytes = Uint8Array.from(given.match(/[0-9a-f]{2}/gi)!, (byte) => Number.parseInt(byte, 16));
    return { frame: bytes, on: interfaceFor(live, options, null) };
  }
  const fields: PacketFields = parsePacket(given);
  const on = interfaceFor(live, options, fields.ip.source);
  const ethernet = { source: SOMEBODY, destination: on.mac, ...(on.vlan === 0 ? {} : { vlans: [on.vlan] }) };
  return { frame: buildFrame({ ethernet, ...fields }), on };
}

function interfaceFor({ host }: Parts, { interface: name }: ExplainOptions, source: string | null): Interface {
  if (name !== undefined) {
    const named = host.interfaces.find((on) => on.name === name);
    if (named !== undefined) return named;
    throw invalidOption(
      'interface',
      name,
      `the name of an interface (${host.interfaces.map((on) => on.name).join(', ')})`,
    );
  }
  const sender = source === null ? undefined : tryParseAddress(source);
  const route = sender === undefined ? null : host.route(sender.family, sender.words, 0);
  return route?.interface ?? host.interfaces[0];
}

/**
 * The addresses that the packet's connection may be found by: its own and, for ICMP, whatever may be one in the packet that
 * an error is about, or in the one that that one carries.
 */
function addressesOf(view: DataView, packet: Packet): Words[] {
  const words: Words[] = [packet.address.slice(SRC, SRC + 4), packet.address.slice(DST, DST + 4)];
  if (packet.protocol !== PROTO_ICMP && packet.protocol !== PROTO_ICMPV6) return words;
  const message = packet.ip + packet.headerLength;
  const bytes = packet.family === 4 ? 4 : 16;
  const end = Math.min(packet.ip + packet.length, message + HEADERS_WITHIN) - bytes;
  for (let at = message; at <= end; at += 2) words.push(addressAt(packet.family, view, at));
  return words;
}

function addressAt(family: Family, view: DataView, at: number): Words {
  const words = new Int32Array(4);
  if (family === 4) words[0] = view.getInt32(at);
  else readAddress(view, at, words, 0);
  return words;
}

import { SVC_SCHED2 } from '../services/service.ts';
import { foldAddress } from './hash32.ts';
import type { ScheduledPacket, ScheduledService } from './scheduler.ts';

const TCP = 6;
const UDP = 17;
const SCTP = 132;

/**
 * What `sh` and `mh` hash: the client's address as one word, plus its port when the service has the flag `sh-port` or
 * `mh-port` (one bit for both). Only TCP, UDP and SCTP have ports here. Inside an ICMP error the client is the
 * destination.
 */
export function clientKey(service: ScheduledService, packet: ScheduledPacket): number {
  const address = foldAddress(service.family, packet.inverse ? packet.destination : packet.source);
  if ((service.flags & SVC_SCHED2) === 0) return address;
  const { protocol } = packet;
  if (protocol !== TCP && protocol !== UDP && protocol !== SCTP) return address;
  return (address + (packet.inverse ? packet.destinationPort : packet.sourcePort)) | 0;
}

/**
 * The host that every scenario is played on, the same as in the recordings: the director with a leg to the clients'
 * gateway and real servers (eth0) and one to more real servers (eth1), all neighbours known.
 */
import type { Scenario } from '../conformance/scenario.ts';

export const DIRECTOR_MAC: Readonly<Record<string, string>> = { eth0: '02:00:00:00:00:01', eth1: '02:00:00:00:00:02' };
export const GATEWAY = '10.0.0.254';
export const GATEWAY_MAC = '02:00:00:00:fe:fe';
export const DIP = '10.0.0.1';
export const DIP6 = '2001:db8::1';
export const VIPS: readonly string[] = ['10.0.0.100', '10.0.0.101'];
export const VIP6 = '2001:db8::100';

/** Real servers: 10.0.0.11 to .18 and 2001:db8::b to ::12 on eth0, 172.16.0.11 to .18 on eth1. */
export const SERVER_NUMBERS: readonly number[] = [11, 12, 13, 14, 15, 16, 17, 18];

export function serverMac(number: number): string {
  return `02:00:00:00:01:${number.toString(16).padStart(2, '0')}`;
}

/** The number of the server with that MAC address, or null. */
export function serverOfMac(mac: string): number | null {
  return SERVER_NUMBERS.find((number) => serverMac(number) === mac) ?? null;
}

export function server4(number: number): string {
  return `10.0.0.${number}`;
}

export function serverBehind(number: number): string {
  return `172.16.0.${number}`;
}

export function server6(number: number): string {
  return `2001:db8::${number.toString(16)}`;
}

export const HOST: Scenario['host'] = {
  interfaces: [
    {
      name: 'eth0',
      mac: DIRECTOR_MAC.eth0,
      mtu: 1500,
      addresses: [`${DIP}/24`, ...VIPS.map((vip) => `${vip}/32`), `${DIP6}/64`, `${VIP6}/128`],
    },
    { name: 'eth1', mac: DIRECTOR_MAC.eth1, mtu: 1500, addresses: ['172.16.0.1/24'] },
  ],
  neighbours: [
    { ip: GATEWAY, dev: 'eth0', mac: GATEWAY_MAC },
    { ip: '2001:db8::fe', dev: 'eth0', mac: GATEWAY_MAC },
    ...SERVER_NUMBERS.flatMap((number) => [
      { ip: server4(number), dev: 'eth0', mac: serverMac(number) },
      { ip: server6(number), dev: 'eth0', mac: serverMac(number) },
      { ip: serverBehind(number), dev: 'eth1', mac: serverMac(number) },
    ]),
  ],
  routes: [
    { to: 'default', via: GATEWAY, dev: 'eth0' },
    { to: 'default', via: '2001:db8::fe', dev: 'eth0' },
  ],
  forwarding: true,
};

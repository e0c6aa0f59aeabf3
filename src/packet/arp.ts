/** ARP for IPv4 over Ethernet (RFC 826). `at` is where the ARP packet begins, after the Ethernet header. */
const OPERATION = 6;
const SENDER_MAC = 8;
const SENDER_IP = 14;
const TARGET_MAC = 18;
const TARGET_IP = 24;

/** Bytes of an ARP packet for IPv4 over Ethernet. */
export const ARP_LENGTH = 28;
export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

/** Whether the packet is ARP for IPv4 over Ethernet; its {@link ARP_LENGTH} bytes must be there. */
export function isEthernetIpv4(view: DataView, at: number): boolean {
  return view.getInt32(at) === 0x00010800 && view.getUint16(at + 4) === 0x0604;
}
export function operation(view: DataView, at: number): number {
  return view.getUint16(at + OPERATION);
}
export function senderMacHigh(view: DataView, at: number): number {
  return view.getUint16(at + SENDER_MAC);
}
export function senderMacLow(view: DataView, at: number): number {
  return view.getInt32(at + SENDER_MAC + 2);
}
export function senderIp(view: DataView, at: number): number {
  return view.getInt32(at + SENDER_IP);
}
export function targetMacHigh(view: DataView, at: number): number {
  return view.getUint16(at + TARGET_MAC);
}
export function targetMacLow(view: DataView, at: number): number {
  return view.getInt32(at + TARGET_MAC + 2);
}
export function targetIp(view: DataView, at: number): number {
  return view.getInt32(at + TARGET_IP);
}

export function setOperation(view: DataView, at: number, value: number): void {
  view.setUint16(at + OPERATION, value);
}
export function setSenderMac(view: DataView, at: number, high: number, low: number): void {
  view.setUint16(at + SENDER_MAC, high);
  view.setInt32(at + SENDER_MAC + 2, low);
}
export function setSenderIp(view: DataView, at: number, value: number): void {
  view.setInt32(at + SENDER_IP, value);
}
export function setTargetMac(view: DataView, at: number, high: number, low: number): void {
  view.setUint16(at + TARGET_MAC, high);
  view.setInt32(at + TARGET_MAC + 2, low);
}
export function setTargetIp(view: DataView, at: number, value: number): void {
  view.setInt32(at + TARGET_IP, value);
}

/** Writes a whole ARP packet. */
export function writeArp(
  view: DataView,
  at: number,
  op: number,
  senderHigh: number,
  senderLow: number,
  sender: number,
  targetHigh: number,
  targetLow: number,
  target: number,
): void {
  view.setInt32(at, 0x00010800);
  view.setUint16(at + 4, 0x0604);
  view.setUint16(at + OPERATION, op);
  view.setUint16(at + SENDER_MAC, senderHigh);
  view.setInt32(at + SENDER_MAC + 2, senderLow);
  view.setInt32(at + SENDER_IP, sender);
  view.setUint16(at + TARGET_MAC, targetHigh);
  view.setInt32(at + TARGET_MAC + 2, targetLow);
  view.setInt32(at + TARGET_IP, target);
}

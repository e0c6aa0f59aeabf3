/**
 * Ethernet II frames (IEEE 802.3) and 802.1Q tags. Offsets count from the first byte of the frame; `at` is where the
 * frame begins in the view.
 */
const DST = 0;
const SRC = 6;
const TYPE = 12;

/** Bytes of an untagged header. */
export const ETHERNET_HEADER = 14;
/** Bytes of one 802.1Q tag. */
export const VLAN_TAG = 4;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_QINQ = 0x88a8;
export const ETHERTYPE_IPV6 = 0x86dd;

/** Upper 16 bits of the destination MAC. */
export function dstHigh(view: DataView, at: number): number {
  return view.getUint16(at + DST);
}
/** Lower 32 bits of the destination MAC, as a signed integer. */
export function dstLow(view: DataView, at: number): number {
  return view.getInt32(at + DST + 2);
}
export function srcHigh(view: DataView, at: number): number {
  return view.getUint16(at + SRC);
}
export function srcLow(view: DataView, at: number): number {
  return view.getInt32(at + SRC + 2);
}
export function etherType(view: DataView, at: number): number {
  return view.getUint16(at + TYPE);
}
export function setDst(view: DataView, at: number, high: number, low: number): void {
  view.setUint16(at + DST, high);
  view.setInt32(at + DST + 2, low);
}
export function setSrc(view: DataView, at: number, high: number, low: number): void {
  view.setUint16(at + SRC, high);
  view.setInt32(at + SRC + 2, low);
}
export function setEtherType(view: DataView, at: number, type: number): void {
  view.setUint16(at + TYPE, type);
}

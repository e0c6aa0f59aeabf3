/** UDP (RFC 768). `at` is where the header begins. */
const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const LENGTH = 4;
const CHECKSUM = 6;

/** Bytes of the header. */
export const UDP_HEADER = 8;
/** Where the checksum lies in the header; 0 there means none was computed. */
export const UDP_CHECKSUM: number = CHECKSUM;

export function sourcePort(view: DataView, at: number): number {
  return view.getUint16(at + SOURCE_PORT);
}
export function destinationPort(view: DataView, at: number): number {
  return view.getUint16(at + DESTINATION_PORT);
}
/** Header and data, in bytes. */
export function udpLength(view: DataView, at: number): number {
  return view.getUint16(at + LENGTH);
}
export function udpChecksum(view: DataView, at: number): number {
  return view.getUint16(at + CHECKSUM);
}
export function setSourcePort(view: DataView, at: number, value: number): void {
  view.setUint16(at + SOURCE_PORT, value);
}
export function setDestinationPort(view: DataView, at: number, value: number): void {
  view.setUint16(at + DESTINATION_PORT, value);
}
export function setUdpLength(view: DataView, at: number, value: number): void {
  view.setUint16(at + LENGTH, value);
}
export function setUdpChecksum(view: DataView, at: number, value: number): void {
  view.setUint16(at + CHECKSUM, value);
}

/** Writes a header; `length` counts header and data, the checksum field becomes 0. */
export function writeUdpHeader(view: DataView, at: number, from: number, to: number, length: number): void {
  view.setUint16(at + SOURCE_PORT, from);
  view.setUint16(at + DESTINATION_PORT, to);
  view.setUint16(at + LENGTH, length);
  view.setUint16(at + CHECKSUM, 0);
}

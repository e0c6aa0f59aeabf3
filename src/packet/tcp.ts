/** TCP (RFC 9293). `at` is where the header begins. */
const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const SEQUENCE = 4;
const ACKNOWLEDGEMENT = 8;
const DATA_OFFSET = 12;
const FLAGS = 13;
const CHECKSUM = 16;

/** Bytes of a header without options. */
export const TCP_HEADER = 20;
/** Where the checksum lies in the header. */
export const TCP_CHECKSUM: number = CHECKSUM;

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;

export function sourcePort(view: DataView, at: number): number {
  return view.getUint16(at + SOURCE_PORT);
}
export function destinationPort(view: DataView, at: number): number {
  return view.getUint16(at + DESTINATION_PORT);
}
/** As an unsigned 32-bit number. */
export function sequence(view: DataView, at: number): number {
  return view.getUint32(at + SEQUENCE);
}
/** As an unsigned 32-bit number. */
export function acknowledgement(view: DataView, at: number): number {
  return view.getUint32(at + ACKNOWLEDGEMENT);
}
/** Header length in bytes, options included. */
export function headerLength(view: DataView, at: number): number {
  return (view.getUint8(at + DATA_OFFSET) >>> 4) << 2;
}
export function flags(view: DataView, at: number): number {
  return view.getUint8(at + FLAGS);
}
export function tcpChecksum(view: DataView, at: number): number {
  return view.getUint16(at + CHECKSUM);
}
export function setSourcePort(view: DataView, at: number, value: number): void {
  view.setUint16(at + SOURCE_PORT, value);
}
export function setDestinationPort(view: DataView, at: number, value: number): void {
  view.setUint16(at + DESTINATION_PORT, value);
}
export function setSequence(view: DataView, at: number, value: number): void {
  view.setUint32(at + SEQUENCE, value);
}
export function setAcknowledgement(view: DataView, at: number, value: number): void {
  view.setUint32(at + ACKNOWLEDGEMENT, value);
}

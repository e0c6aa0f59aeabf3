/** TCP (RFC 9293). `at` is where the header begins. */
const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const SEQUENCE = 4;
const ACKNOWLEDGEMENT = 8;
const DATA_OFFSET = 12;
const FLAGS = 13;
const WINDOW = 14;
const CHECKSUM = 16;
const URGENT = 18;

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
/** Congestion was seen on the way (RFC 3168). */
export const ECE = 0x40;
/** The congestion window was reduced (RFC 3168). */
export const CWR = 0x80;

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
/** As it stands in the header, not scaled. */
export function window(view: DataView, at: number): number {
  return view.getUint16(at + WINDOW);
}
export function tcpChecksum(view: DataView, at: number): number {
  return view.getUint16(at + CHECKSUM);
}
export function urgentPointer(view: DataView, at: number): number {
  return view.getUint16(at + URGENT);
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
export function setFlags(view: DataView, at: number, value: number): void {
  view.setUint8(at + FLAGS, value);
}
export function setWindow(view: DataView, at: number, value: number): void {
  view.setUint16(at + WINDOW, value);
}
export function setTcpChecksum(view: DataView, at: number, value: number): void {
  view.setUint16(at + CHECKSUM, value);
}
export function setUrgentPointer(view: DataView, at: number, value: number): void {
  view.setUint16(at + URGENT, value);
}

/**
 * Writes the first 20 bytes of a header of `length` bytes, options included; the checksum field and the urgent pointer
 * become 0.
 */
export function writeTcpHeader(
  view: DataView,
  at: number,
  from: number,
  to: number,
  seq: number,
  ack: number,
  length: number,
  flagBits: number,
  windowSize: number,
): void {
  view.setUint16(at + SOURCE_PORT, from);
  view.setUint16(at + DESTINATION_PORT, to);
  view.setUint32(at + SEQUENCE, seq);
  view.setUint32(at + ACKNOWLEDGEMENT, ack);
  view.setUint8(at + DATA_OFFSET, (length >>> 2) << 4);
  view.setUint8(at + FLAGS, flagBits);
  view.setUint16(at + WINDOW, windowSize);
  view.setUint32(at + CHECKSUM, 0);
}

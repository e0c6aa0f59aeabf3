/** What all header views have in common. */
import { invalidOption } from '../errors.ts';
import { update16 } from './checksum.ts';

const NO_BYTES: Uint8Array = new Uint8Array();
const NO_VIEW: DataView = new DataView(NO_BYTES.buffer);

/**
 * A cursor over a header in somebody's bytes. Nothing is copied: a getter reads the bytes, a setter writes them. One
 * view serves any number of packets: {@link HeaderView.moveTo} re-points it.
 *
 *     const ip = Ipv4View.at(frame, 14);
 *     ip.source;                 // '192.0.2.1'
 *     ip.moveTo(otherFrame, 14);
 *
 * Lengths are checked once, by `at` and `moveTo`. After that getters cannot fail, unless the bytes change underneath.
 * Setters throw DirectorError ERR_INVALID_OPTION on a value that does not fit the field.
 */
export abstract class HeaderView {
  protected bytes: Uint8Array = NO_BYTES;
  protected view: DataView = NO_VIEW;
  protected start = 0;

  /**
   * A view of the header at `offset`.
   * @throws DirectorError ERR_INVALID_OPTION where the bytes cannot hold such a header.
   */
  static at<T extends HeaderView>(this: new () => T, buffer: Uint8Array, offset = 0): T {
    return new this().moveTo(buffer, offset);
  }

  /** The bytes under the view. */
  get buffer(): Uint8Array {
    return this.bytes;
  }
  /** Where in them the header begins. */
  get offset(): number {
    return this.start;
  }

  /**
   * Points the view to another header: in other bytes, or elsewhere in the same. After an error it is where it was.
   * @throws DirectorError ERR_INVALID_OPTION where the bytes cannot hold such a header.
   */
  moveTo(buffer: Uint8Array, offset?: number): this;
  moveTo(offset: number): this;
  moveTo(target: Uint8Array | number, offsetInTarget = 0): this {
    const bytes = typeof target === 'number' ? this.bytes : target;
    const start = typeof target === 'number' ? target : offsetInTarget;
    const view = bytes === this.bytes ? this.view : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (!Number.isInteger(start) || start < 0 || start > view.byteLength) {
      throw invalidOption('offset', start, `within the ${view.byteLength} bytes of the buffer`);
    }
    const wrong = this.check(view, start, view.byteLength - start);
    if (wrong !== '') throw invalidOption('offset', start, `where the header of ${this.constructor.name} is: ${wrong}`);
    this.bytes = bytes;
    this.view = view;
    this.start = start;
    return this;
  }

  /** Says what is wrong with a header at `at`, where `room` bytes are left: nothing (''), or a reason. */
  protected abstract check(view: DataView, at: number, room: number): string;

  /** Writes the 16-bit word at `at` and mends the internet checksum at `checksumAt` (RFC 1624). */
  protected setWord(at: number, value: number, checksumAt: number): void {
    const from = this.view.getUint16(at);
    this.view.setUint16(at, value);
    this.view.setUint16(checksumAt, update16(this.view.getUint16(checksumAt), from, value));
  }

  /** As {@link setWord} for a 32-bit field. */
  protected setLong(at: number, value: number, checksumAt: number): void {
    this.setWord(at, value >>> 16, checksumAt);
    this.setWord(at + 2, value & 0xffff, checksumAt);
  }
}

/** The reason that most checks have to give: '' where `needed` bytes are there. */
export function lacking(room: number, needed: number): string {
  return room < needed ? `${needed} bytes are needed, ${room} are there` : '';
}

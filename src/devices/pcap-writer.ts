import { closeSync, fstatSync, openSync, write, writeSync } from 'node:fs';
import { type DirectorError, invalidOption } from '../errors.ts';
import { copyBytes } from '../packet/memory-view.ts';
import { checkInteger, checkKeys, deviceError, reasonOf } from './options.ts';

export interface PcapWriterOptions {
  /** Whether times are written in microseconds or nanoseconds. Default `us`, which every reader knows. */
  readonly resolution?: 'us' | 'ns';
  /** Bytes of each frame that are kept at most, 64 .. 262144. Default 262144: all of it. */
  readonly snapLength?: number;
  /**
   * Bytes that may wait for the disk; frames beyond are left out and counted. At least twice `snapLength` and its
   * header. Default 4 MiB.
   */
  readonly bufferBytes?: number;
  /** What waits is written this often, in milliseconds, so that a running recording can be read. Default 100. */
  readonly flushMs?: number;
  /** When the clock of the times that {@link PcapWriter.write} is given was 0, in milliseconds since 1970. Default 0. */
  readonly epochMs?: number;
  /** Called once when the file cannot be written any more. Default: a process warning. */
  readonly onError?: (error: DirectorError) => void;
}

/** The names of {@link PcapWriterOptions}. */
export const PCAP_OPTIONS: readonly string[] = [
  'resolution',
  'snapLength',
  'bufferBytes',
  'flushMs',
  'epochMs',
  'onError',
];

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const FILE_HEADER = 24;
const RECORD_HEADER = 16;
const LINKTYPE_ETHERNET = 1;
const MAX_SNAP_LENGTH = 262144;

/**
 * Writes Ethernet frames to a file in the classic pcap format (pcap-savefile(5)), which `tcpdump -r` and Wireshark read.
 *
 * Frames are copied into one of two buffers; while one is on its way to the disk the other fills. A disk that does not
 * keep up never holds the caller up: frames are left out and counted.
 */
export class PcapWriter {
  /** Frames that were left out because the disk did not keep up, or had failed. */
  dropped = 0;

  readonly #path: string;
  readonly #fd: number;
  readonly #unitsPerSecond: number;
  readonly #snapLength: number;
  readonly #epochMs: number;
  readonly #onError: (error: DirectorError) => void;
  readonly #timer: NodeJS.Timeout;
  #filling: DataView;
  #used = 0;
  #writing: DataView;
  #inFlight = 0;
  #position = 0;
  #failed = false;
  #closed = false;

  /**
   * Makes the file, or empties it.
   * @throws DirectorError ERR_INVALID_OPTION; ERR_DEVICE when the file cannot be opened or is no ordinary file.
   */
  constructor(path: string, options: PcapWriterOptions = {}) {
    checkKeys(options, PCAP_OPTIONS);
    const {
      resolution = 'us',
      snapLength = MAX_SNAP_LENGTH,
      bufferBytes = 4 << 20,
      flushMs = 100,
      epochMs = 0,
    } = options;
    if (typeof path !== 'string' || path === '') throw invalidOption('path', path, 'the path of a file');
    if (resolution !== 'us' && resolution !== 'ns') throw invalidOption('resolution', resolution, "'us' or 'ns'");
    this.#snapLength = checkInteger('snapLength', snapLength, 64, MAX_SNAP_LENGTH);
    checkInteger('bufferBytes', bufferBytes, 2 * (RECORD_HEADER + snapLength), 1 << 30);
    checkInteger('flushMs', flushMs, 1, 60_000);
    if (!Number.isFinite(epochMs) || epochMs < 0) throw invalidOption('epochMs', epochMs, 'milliseconds since 1970');
    this.#path = path;
    this.#unitsPerSecond = resolution === 'us' ? 1e6 : 1e9;
    this.#epochMs = epochMs;
    this.#onError = options.onError ?? ((error) => process.emitWarning(error));
    this.#filling = new DataView(new ArrayBuffer(bufferBytes >>> 1));
    this.#writing = new DataView(new ArrayBuffer(bufferBytes >>> 1));
    this.#fd = openFile(path, this.#fileHeader(resolution));
    this.#position = FILE_HEADER;
    this.#timer = setInterval(() => this.#flush(), flushMs);
    this.#timer.unref();
  }

  /** Appends the frame of `length` bytes at `at`, seen at `timeMs` of the clock. */
  write(view: DataView, at: number, length: number, timeMs: number): void {
    const kept = Math.min(length, this.#snapLength);
    const size = RECORD_HEADER + kept;
    if (this.#used + size > this.#filling.byteLength) this.#flush();
    if (this.#failed || this.#closed || this.#used + size > this.#filling.byteLength) {
      this.dropped++;
      return;
    }
    const record = this.#filling;
    const start = this.#used;
    // Seconds and the rest apart: as one number a time since 1970 has no digits left for nanoseconds.
    const ms = (this.#epochMs % 1000) + timeMs;
    const wholeSeconds = Math.floor(ms / 1000);
    const fraction = Math.floor((ms / 1000 - wholeSeconds) * this.#unitsPerSecond);
    record.setUint32(start, Math.floor(this.#epochMs / 1000) + wholeSeconds, true);
    record.setUint32(start + 4, fraction, true);
    record.setUint32(start + 8, kept, true);
    record.setUint32(start + 12, length, true);
    copyBytes(view, at, record, start + RECORD_HEADER, kept);
    this.#used = start + size;
  }

  /** Completes the file and closes it. All frames are in it when this returns. Does nothing when called again. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    try {
      // What is on its way may not have arrived yet; the same bytes at the same place once more do no harm.
      if (!this.#failed) {
        writeFully(this.#fd, this.#writing, this.#inFlight, this.#position);
        writeFully(this.#fd, this.#filling, this.#used, this.#position + this.#inFlight);
      }
    } catch (error) {
      this.#fail(error);
    }
    if (this.#inFlight === 0) closeSync(this.#fd);
  }

  #flush(): void {
    if (this.#inFlight > 0 || this.#used === 0 || this.#failed || this.#closed) return;
    const full = this.#filling;
    this.#filling = this.#writing;
    this.#writing = full;
    this.#inFlight = this.#used;
    this.#used = 0;
    this.#writeOn(0);
  }

  /** Writes what is in flight, from its byte `done` on, in the background. */
  #writeOn(done: number): void {
    const { buffer } = this.#writing;
    write(
      this.#fd,
      new Uint8Array(buffer, done, this.#inFlight - done),
      0,
      this.#inFlight - done,
      this.#position + done,
      (error, written) => {
        if (error !== null && !this.#closed) this.#fail(error);
        if (error === null && done + written < this.#inFlight && !this.#closed) {
          this.#writeOn(done + written);
          return;
        }
        this.#position += this.#inFlight;
        this.#inFlight = 0;
        if (this.#closed) closeSync(this.#fd);
      },
    );
  }

  #fail(error: unknown): void {
    this.#failed = true;
    this.#onError(deviceError(this.#path, `cannot be written: ${reasonOf(error)}`, error));
  }

  #fileHeader(resolution: 'us' | 'ns'): DataView {
    const header = new DataView(new ArrayBuffer(FILE_HEADER));
    header.setUint32(0, resolution === 'us' ? MAGIC_MICROSECONDS : MAGIC_NANOSECONDS, true);
    header.setUint16(4, 2, true); // version 2.4
    header.setUint16(6, 4, true);
    header.setUint32(16, this.#snapLength, true);
    header.setUint32(20, LINKTYPE_ETHERNET, true);
    return header;
  }
}

function openFile(path: string, header: DataView): number {
  let fd = -1;
  try {
    fd = openSync(path, 'w');
    // Writes say where they go, which a pipe or a terminal does not understand.
    if (!fstatSync(fd).isFile()) throw new Error('it is no ordinary file');
    writeFully(fd, header, header.byteLength, 0);
    return fd;
  } catch (error) {
    if (fd >= 0) closeSync(fd);
    throw deviceError(path, `cannot be opened: ${reasonOf(error)}`, error);
  }
}

function writeFully(fd: number, bytes: DataView, length: number, position: number): void {
  for (let done = 0; done < length; ) done += writeSync(fd, bytes, done, length - done, position + done);
}

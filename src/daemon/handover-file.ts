/**
 * The file by which a director hands its state to the next one: written whole beside its place and then moved there, so
 * that there is never half of one, and readable by its owner alone.
 */
import { closeSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { ReadBytes } from '../engine/handover/blocks.ts';

const MODE = 0o600;

/** Where it is written before it is moved. A name of this process's own: nobody else writes there. */
function besideOf(path: string): string {
  return `${path}.${process.pid}.new`;
}

/** Writes a handover in one go. @throws the system's error; then nothing has changed */
export function writeHandover(path: string, pieces: Iterable<Uint8Array>): void {
  const beside = besideOf(path);
  rmSync(beside, { force: true });
  try {
    const file = openSync(beside, 'wx', MODE);
    try {
      for (const piece of pieces) for (let at = 0; at < piece.length; ) at += writeSync(file, piece, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(beside, path);
    syncFolder(path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}

/**
 * The same between other things: the event loop turns after every piece, and the disk is waited for elsewhere.
 * @param signal gives it up.
 * @returns how long the longest piece took to make, in milliseconds.
 */
export async function writeSnapshot(
  path: string,
  pieces: Iterator<Uint8Array, void>,
  signal: AbortSignal,
): Promise<number> {
  const beside = `${besideOf(path)}.snapshot`;
  await rm(beside, { force: true });
  let longestMs = 0;
  try {
    const file = await open(beside, 'wx', MODE);
    try {
      for (;;) {
        signal.throwIfAborted();
        const startMs = performance.now();
        const { done, value } = pieces.next();
        longestMs = Math.max(longestMs, performance.now() - startMs);
        if (done === true) break;
        await file.writeFile(value);
        await turn();
      }
      await file.sync();
    } finally {
      await file.close();
    }
    signal.throwIfAborted();
    await rename(beside, path);
    return longestMs;
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

/** Lets the new name survive the machine's end, too. */
function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/**
 * Reads a file, of which nothing is kept in memory but what is asked for.
 * @throws the system's error
 */
export function withHandover<T>(path: string, use: (read: ReadBytes) => T): T {
  const file = openSync(path, 'r');
  try {
    return use((count) => {
      const bytes = new Uint8Array(count);
      let length = 0;
      while (length < count) {
        const got = readSync(file, bytes, length, count - length, null);
        if (got === 0) break;
        length += got;
      }
      return bytes.subarray(0, length);
    });
  } finally {
    closeSync(file);
  }
}

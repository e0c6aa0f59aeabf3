/** What a service manager is told (systemd: sd_notify(3)), and how often it wants to hear that we live. */
import { loadBinding } from '../native/binding.ts';

/** Longest word on how the director is, in UTF-16 units: a message has less than 1024 bytes. */
const MAX_STATUS = 300;

/** Tells the service manager, where there is one. That it does not listen is no reason to stop. */
export function notify(message: string, environment: NodeJS.ProcessEnv = process.env): void {
  const path = environment.NOTIFY_SOCKET;
  if (path === undefined || !/^[/@]./.test(path)) return;
  try {
    loadBinding().notify(path, message);
  } catch {
    // It will find out by itself.
  }
}

/** That the director is ready, with a word on how it is. */
export function notifyReady(status: string): void {
  notify(`READY=1\nSTATUS=${status.replaceAll('\n', ' ').slice(0, MAX_STATUS)}`);
}

/** That a reload has begun; {@link notifyReady} ends it. */
export function notifyReloading(): void {
  // hrtime is CLOCK_MONOTONIC, as systemd wants it.
  notify(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
}

/** That the director ends. */
export function notifyStopping(): void {
  notify('STOPPING=1');
}

/**
 * Lets the service manager know, twice in each period that it has asked for, that the event loop turns.
 * @returns ends that.
 */
export function keepWatchdog(environment: NodeJS.ProcessEnv = process.env): () => void {
  const periodUs = Number(environment.WATCHDOG_USEC);
  const { WATCHDOG_PID: pid } = environment;
  if (!(periodUs > 0) || (pid !== undefined && Number(pid) !== process.pid)) return () => {};
  const timer = setInterval(() => notify('WATCHDOG=1', environment), periodUs / 2000);
  return () => clearInterval(timer);
}

/** A director that runs by a configuration file: set up from it, following it, taken down. */

import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { Device } from '../devices/device.ts';
import type { Director } from '../director.ts';
import { DirectorError } from '../errors.ts';
import { type Account, become, findAccount } from './accounts.ts';
import { buildDirector } from './build.ts';
import type { Configuration } from './configuration.ts';
import { openDevice } from './devices.ts';
import { activeConnections, drain } from './drain.ts';
import { logEvents } from './events.ts';
import { ConfigurationError, type Loaded, loadConfiguration } from './file.ts';
import { HandoverKeeper, takeOverFrom } from './handover.ts';
import { keepWatchdog, notifyReady, notifyReloading, notifyStopping } from './notify.ts';
import { recordChanges } from './record.ts';
import { emptyConfiguration } from './schema.ts';
import type { Change, Problem, Running } from './section.ts';
import { plan, SECTIONS, type Which } from './sections.ts';

/** A running director with its file. */
export class Daemon {
  readonly #path: string;
  readonly #running: Running;
  readonly #endWatchdog: () => void;
  readonly #keeper: HandoverKeeper;
  #configuration: Configuration;
  /** Reloads and the stop come one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #stopping = new AbortController();
  #stopped: Promise<void> | undefined;

  private constructor(path: string, running: Running, configuration: Configuration) {
    this.#path = path;
    this.#running = running;
    this.#configuration = configuration;
    this.#endWatchdog = keepWatchdog();
    const { director, logger } = running;
    this.#keeper = new HandoverKeeper(configuration.handover, director, logger, () => this.#configuration);
  }

  /**
   * Opens the devices, sets the director up, gives up root if the file says so, and starts.
   * @param path the file, to be read again by {@link reload}.
   * @param loaded what is in it.
   * @param onFailure is called when the director cannot go on: one of its devices has died.
   * @throws ConfigurationError for what cannot be had, a device say; nothing is left open then.
   */
  static async start(path: string, loaded: Loaded, logger: Logger, onFailure: (error: Error) => void): Promise<Daemon> {
    const { configuration } = loaded;
    const { user, group } = configuration.privileges;
    const account = user === undefined ? null : findAccount('privileges', user, group);
    const director = openDirector(loaded, logger);
    const running = makeRunning(director, logger, account);
    director.on('deviceError', (device, error) => {
      logger.fatal({ device, reason: error.message }, 'a device has failed');
      onFailure(error);
    });
    logEvents(director, logger);
    let stoppedAt: number | null = null;
    try {
      const isFirst: Which = ({ name }) => name === 'tunables';
      await applyAll(plan(emptyConfiguration(), configuration, isFirst), running, loaded);
      const before = takeOverFrom(configuration.handover, director, logger);
      stoppedAt = before.stoppedAt;
      await applyAll(
        plan(before.configuration, configuration, (section) => !isFirst(section)),
        running,
        loaded,
      );
      complainOf(loaded, { path: ['privileges'] }, () => account !== null && become(account));
      complainOf(loaded, { path: ['devices'] }, () => director.start());
    } catch (error) {
      await takeDown(running);
      throw error;
    }
    const daemon = new Daemon(path, running, configuration);
    if (stoppedAt !== null) daemon.#keeper.removeFile();
    daemon.#tellReady();
    const pause = stoppedAt === null ? {} : { pauseMs: Date.now() - stoppedAt };
    logger.info(
      { services: configuration.services.length, root: process.geteuid?.() === 0, ...pause },
      'director runs',
    );
    return daemon;
  }

  /**
   * Reads the file again and changes what has changed in it. When anything is wrong, nothing is changed, and the log
   * says why.
   * @returns whether it worked.
   */
  reload(): Promise<boolean> {
    return this.#next(async () => {
      const { logger } = this.#running;
      if (this.#stopping.signal.aborted) return false;
      notifyReloading();
      try {
        const changes = await this.#reload();
        logger.info({ changes }, 'configuration reloaded');
        this.#tellReady();
        return true;
      } catch (error) {
        if (!(error instanceof ConfigurationError)) throw error;
        for (const problem of error.problems) logger.error({ problem }, 'configuration not reloaded');
        notifyReady(`configuration not reloaded: ${error.problems[0]}`);
        return false;
      }
    });
  }

  async #reload(): Promise<number> {
    const before = this.#configuration;
    const loaded = loadConfiguration(this.#path);
    const after = loaded.configuration;
    const fixed = SECTIONS.filter(
      ({ name, plan: planned }) => planned === undefined && !isDeepStrictEqual(before[name], after[name]),
    );
    if (fixed.length > 0) {
      const message = 'cannot change while the director runs: restart it';
      throw loaded.complain(fixed.map(({ name }) => ({ path: [name], message })));
    }
    const changes = plan(before, after);
    try {
      await applyAll(changes, this.#running, loaded);
    } catch (error) {
      // What the director took on trial it refused in earnest: something was set by hand that is in the way.
      for (const change of plan(after, before)) await this.#undo(change);
      throw error;
    }
    this.#configuration = after;
    return changes.length;
  }

  async #undo(change: Change): Promise<void> {
    try {
      await change.apply(this.#running);
    } catch (error) {
      this.#running.logger.error({ reason: String(error) }, 'a change could not be taken back');
    }
  }

  /**
   * Ends, with the devices closed. If the file says where to, the state is left there for the next director; else there
   * are no new connections, and active ones may end in the time that the file gives them. A second call waits no longer.
   * @param forGood whether no successor is to go on with the connections, whatever the file says.
   */
  stop(forGood: boolean): Promise<void> {
    if (this.#stopped !== undefined) this.#stopping.abort();
    this.#stopped ??= this.#next(() => this.#stop(forGood));
    return this.#stopped;
  }

  async #stop(forGood: boolean): Promise<void> {
    const { director, logger, opened } = this.#running;
    const { drainSeconds } = this.#configuration.stop;
    this.#endWatchdog();
    notifyStopping();
    if (!forGood && (await this.#keeper.leave())) {
      // The devices first: whoever waits for them goes on the sooner.
      director.stop();
      await takeDown({ director, opened });
      logger.info('director stopped');
      return;
    }
    await this.#keeper.forget();
    // A sorry server would step in for those that are drained.
    for (const { service } of director.health()) director.unwatch(service);
    if (drainSeconds > 0 && activeConnections(director) > 0) {
      logger.info({ active: activeConnections(director), seconds: drainSeconds }, 'draining');
      const left = await drain(director, drainSeconds, this.#stopping.signal);
      logger.info({ left }, 'drained');
    }
    await takeDown({ director, opened });
    logger.info('director stopped');
  }

  #next<T>(action: () => Promise<T>): Promise<T> {
    const next = this.#last.then(action);
    this.#last = next.catch(() => {});
    return next;
  }

  #tellReady(): void {
    notifyReady(`${this.#configuration.services.length} services in the configuration`);
  }
}

function makeRunning(director: Director, logger: Logger, account: Account | null): Running {
  const recorded = (by: string) => recordChanges(director, (what, details) => logger.info({ by, ...details }, what));
  return { director, control: recorded('file'), remote: recorded('socket'), logger, account, opened: new Map() };
}

function openDirector(loaded: Loaded, logger: Logger): Director {
  const devices = new Map<string, Device>();
  const { configuration } = loaded;
  const { threads } = configuration.director;
  try {
    configuration.devices.forEach((one, i) => {
      const device = complainOf(loaded, { path: ['devices', i] }, () => openDevice(one, threads));
      devices.set(one.name, device);
      logger.info({ device: device.name, mac: device.mac, mtu: device.mtu }, 'device open');
    });
    return complainOf(loaded, { path: [] }, () => buildDirector(configuration, (name) => devices.get(name)!));
  } catch (error) {
    for (const device of devices.values()) device.close();
    throw error;
  }
}

async function takeDown({ director, opened }: Pick<Running, 'director' | 'opened'>): Promise<void> {
  for (const close of [...opened.values()].reverse()) await close();
  opened.clear();
  director.stop();
}

async function applyAll(changes: readonly Change[], running: Running, loaded: Loaded): Promise<void> {
  for (const { path, apply } of changes) {
    try {
      await apply(running);
    } catch (error) {
      throw asComplaint(loaded, { path }, error);
    }
  }
}

function complainOf<T>(loaded: Loaded, where: Pick<Problem, 'path'>, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw asComplaint(loaded, where, error);
  }
}

function asComplaint(loaded: Loaded, { path }: Pick<Problem, 'path'>, error: unknown): unknown {
  return error instanceof DirectorError ? loaded.complain([{ path, message: error.message }]) : error;
}

/**
 * The ipvsadm command, in process: text in, calls on a {@link Control}, text out. It speaks the language of ipvsadm 1.31
 * with the same messages, exit statuses and layouts, so that scripts written for it carry over. What differs:
 *
 * - `-p` without a value is 300 s, as the manual says (the program's code says 360).
 * - Names are looked up in /etc/hosts and /etc/services only, never in DNS; where /etc/services is missing, in a short
 *   list of well-known ones. With `-n`, and with numbers as input, nothing is looked up.
 * - `-h` prints a usage of our own.
 * - Counters of servers never wrap (in the program those of connections and packets have 32 bits).
 */
import { DirectorError } from '../errors.ts';
import type { ServiceEntry, ServiceKey } from '../services/config.ts';
import { formatConnections } from './connections.ts';
import type { Control } from './control.ts';
import { Exit, LineFailure, STATUS_FAILED, tryHelp } from './exit.ts';
import { formatDaemons, formatServices, formatTimeouts } from './format.ts';
import { failureText } from './messages.ts';
import { type Names, systemNames } from './names.ts';
import { parseCommandLine } from './parse.ts';
import type { ListRequest, Request } from './request.ts';
import { formatSave } from './save.ts';
import { splitRestoreLine, splitWords } from './words.ts';

/** What a command printed, and the exit status that it would have left a process with. */
export interface IpvsadmResult {
  readonly status: number;
  /** Everything printed, standard output and standard error in order. */
  readonly out: string;
}

/** Where a run prints: what was asked for, and what went wrong. Texts are whole lines. */
export interface Printer {
  out(text: string): void;
  error(text: string): void;
}

/** Exit status of a listing of a service that does not exist. */
const STATUS_NOT_LISTED = 1;

/**
 * Runs one ipvsadm command line. Never throws for anything that is on the line or that the control refuses.
 * @param commandLine what follows the word `ipvsadm` (which may lead): words, or a text that is split with a shell's
 *   quoting. Empty, it lists the services.
 * @param stdin what `-R` reads: one command line per line. One that fails does not stop those that follow; one that
 *   makes no sense does.
 * @param names for addresses and ports; default: this machine's files.
 */
export function ipvsadm(
  control: Control,
  commandLine: string | readonly string[],
  stdin = '',
  names: Names = systemNames(),
): IpvsadmResult {
  const words = typeof commandLine === 'string' ? splitWords(commandLine) : commandLine;
  const printed: string[] = [];
  const print = (text: string) => void printed.push(text);
  const status = runIpvsadm(
    control,
    words[0] === 'ipvsadm' ? words.slice(1) : words,
    stdin,
    { out: print, error: print },
    names,
  );
  return { status, out: printed.join('') };
}

/**
 * The same for a program that has a standard output and a standard error.
 * @param words the program's arguments.
 * @returns the exit status.
 */
export function runIpvsadm(
  control: Control,
  words: readonly string[],
  stdin: string,
  printer: Printer,
  names: Names = systemNames(),
): number {
  try {
    return new Run(control, names, printer).line(words, stdin);
  } catch (error) {
    if (!(error instanceof Exit)) throw error;
    if (error.status === 0) printer.out(error.text);
    else printer.error(error.text);
    return error.status;
  }
}

/** One run of the program: a command line, or a restore of many. */
class Run {
  readonly #control: Control;
  readonly #names: Names;
  readonly #printer: Printer;

  constructor(control: Control, names: Names, printer: Printer) {
    this.#control = control;
    this.#names = names;
    this.#printer = printer;
  }

  /** Runs one line and returns its status; `stdin` is undefined for a line that came from it. */
  line(words: readonly string[], stdin: string | undefined): number {
    let request: Request | undefined;
    try {
      if (words.length === 0) {
        this.#printer.out(formatServices(this.#control.services(), { names: this.#names }));
        return 0;
      }
      request = parseCommandLine(words, this.#names);
      return this.#execute(request, stdin);
    } catch (error) {
      if (error instanceof LineFailure) this.#printer.error(error.message);
      else if (error instanceof DirectorError) this.#printer.error(failureText(error, request?.command));
      else throw error;
      return STATUS_FAILED;
    }
  }

  #restore(stdin: string | undefined): number {
    if (stdin === undefined) throw tryHelp();
    let status = 0;
    for (const line of stdin.split('\n')) {
      const words = splitRestoreLine(line);
      if (words.length > 0) status = this.line(words, undefined);
    }
    return status;
  }

  #execute(request: Request, stdin: string | undefined): number {
    const control = this.#control;
    switch (request.command) {
      case 'add-service':
        control.addService(request.key, request.options);
        break;
      case 'edit-service':
        control.editService(request.key, request.options);
        break;
      case 'delete-service':
        control.deleteService(request.key);
        break;
      case 'add-server':
        control.addDestination(request.key, request.destination, request.options);
        break;
      case 'edit-server':
        control.editDestination(request.key, request.destination, request.options);
        break;
      case 'delete-server':
        control.deleteDestination(request.key, request.destination);
        break;
      case 'flush':
        control.flush();
        break;
      case 'zero':
        control.zero(request.key);
        break;
      case 'set':
        control.setTimeouts(request.timeouts);
        break;
      case 'start-daemon':
        control.startDaemon(request.options);
        break;
      case 'stop-daemon':
        control.stopDaemon(request.role);
        break;
      case 'save':
        this.#printer.out(formatSave(control.services(), request.numeric ? undefined : this.#names));
        break;
      case 'list':
        this.#printer.out(this.#list(request.list));
        break;
      case 'restore':
        return this.#restore(stdin);
    }
    return 0;
  }

  #list(list: ListRequest): string {
    switch (list.what) {
      case 'timeouts':
        return formatTimeouts(this.#control.getTimeouts());
      case 'daemons':
        return formatDaemons(this.#control.daemons());
      case 'connections':
        return formatConnections(this.#control.connections(), {
          engines: list.engines,
          ...(!list.numeric && { names: this.#names }),
        });
      case 'services': {
        const { key, view, exact, sorted, numeric } = list;
        const services = key === undefined ? this.#control.services() : [this.#service(key)];
        const heading = key === undefined;
        return formatServices(services, { view, exact, sorted, heading, ...(!numeric && { names: this.#names }) });
      }
    }
  }

  #service(key: ServiceKey): ServiceEntry {
    try {
      return this.#control.service(key);
    } catch (error) {
      if (!(error instanceof DirectorError) || error.code !== 'ERR_NO_SUCH_SERVICE') throw error;
      throw new Exit(STATUS_NOT_LISTED, failureText(error, 'list'));
    }
  }
}

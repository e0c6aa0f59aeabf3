import type { DirectorError } from '../errors.ts';
import type { CommandName } from './options.ts';

const INVALID_OPERATION = 'Invalid operation.  Possibly wrong module version, address not unicast, ...';

/** The options whose values the kernel refuses as out of range rather than as invalid. */
const RANGED_OPTION = /(?:^|\.)(?:weight|upperThreshold|lowerThreshold)$/;

function failure(error: DirectorError, command: CommandName | undefined): string {
  switch (error.code) {
    case 'ERR_SERVICE_EXISTS':
      return 'Service already exists';
    case 'ERR_NO_SUCH_SERVICE':
      return command?.endsWith('-server') ? 'Service not defined' : 'No such service';
    case 'ERR_DESTINATION_EXISTS':
      return 'Destination already exists';
    case 'ERR_NO_SUCH_DESTINATION':
      return 'No such destination';
    case 'ERR_UNKNOWN_SCHEDULER':
    case 'ERR_UNKNOWN_ENGINE':
      return 'Scheduler or persistence engine not found';
    case 'ERR_DAEMON_RUNNING':
      return 'Daemon has already run';
    case 'ERR_NO_DAEMON':
      return 'No daemon is running';
    case 'ERR_INVALID_OPTION':
      if (error.option?.endsWith('mcastInterface')) return 'No such device';
      return RANGED_OPTION.test(error.option ?? '') ? 'Numerical result out of range' : INVALID_OPERATION;
    case 'ERR_DEVICE':
      return 'No such device';
    case 'ERR_UNSUPPORTED':
      return 'Operation not supported';
    case 'ERR_CLOSED':
    case 'ERR_CONTROL':
    case 'ERR_DRAINING':
    case 'ERR_HANDOVER':
    case 'ERR_METRICS':
    case 'ERR_TOO_MANY_CAPTURES':
    case 'ERR_WORKER':
    case 'ERR_UNSUPPORTED_PLATFORM':
      return 'Protocol not available';
  }
}

/** The line that ipvsadm prints when an operation was refused. */
export function failureText(error: DirectorError, command: CommandName | undefined): string {
  return `${failure(error, command)}\n`;
}

/** Users and groups of the system, and giving up root for one of them. */
import { execFileSync } from 'node:child_process';
import { DirectorError, invalidOption } from '../errors.ts';

/** A user with a group, by number. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Asks the system, which may know users from elsewhere than /etc/passwd; Node.js has no way to. */
function lookUp(option: string, name: string, what: string, program: string, ...args: readonly string[]): string {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    throw invalidOption(option, name, `${what} of this system`);
  }
}

/**
 * An account by name or number.
 * @param section what errors put in front of `user` and `group`.
 * @param group default: the user's own.
 * @throws DirectorError ERR_INVALID_OPTION
 */
export function findAccount(section: string, user: string, group?: string): Account {
  const find = (which: '-u' | '-g') => Number(lookUp(`${section}.user`, user, 'a user', 'id', which, '--', user));
  const uid = find('-u');
  if (group === undefined) return { uid, gid: find('-g') };
  const entry = lookUp(`${section}.group`, group, 'a group', 'getent', '--', 'group', group);
  return { uid, gid: Number(entry.split(':')[2]) };
}

/**
 * Becomes this account for good: its user, its group and the groups that the system gives it. The kernel takes all
 * capabilities from a process that goes from root to another user, in all its threads. Does nothing for a process that
 * is that user already.
 * @throws DirectorError ERR_UNSUPPORTED when the process is neither root nor that user.
 */
export function become({ uid, gid }: Account): void {
  if (process.geteuid?.() === uid && process.getegid?.() === gid) return;
  const { initgroups } = process as { initgroups?: (user: number, group: number) => void }; // lacks in Node's types
  try {
    initgroups!(uid, gid);
    process.setgid!(gid);
    process.setuid!(uid);
  } catch (cause) {
    throw new DirectorError('ERR_UNSUPPORTED', 'only root can become another user', { option: 'privileges', cause });
  }
}

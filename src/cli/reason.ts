/** Why a director could not be asked, in words. Loads nothing: commands that use it start often. */

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'No director is running',
  ECONNREFUSED: 'No director is running',
  ENOTDIR: 'No director is running',
  EACCES: 'Permission denied (you must be the owner of its socket)',
};

export function reasonOf(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return REASONS[code] ?? message;
}

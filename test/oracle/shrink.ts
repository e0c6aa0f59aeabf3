/** Finds the fewest steps that still make a difference. */

/**
 * Removes steps as long as `differs` holds: first big parts, then small ones, then single steps ("delta debugging",
 * Zeller and Hildebrandt 2002, without the test of subsets).
 * @param steps a list for which `differs` holds; the last one is never removed.
 * @param differs whether a list still differs; may cut off what comes after the first difference by answering with the
 *   list up to there.
 */
export async function shrink<T>(
  steps: readonly T[],
  differs: (steps: readonly T[]) => Promise<readonly T[] | null>,
): Promise<readonly T[]> {
  let left = steps;
  let part = Math.ceil(left.length / 2);
  while (part >= 1) {
    let removed = false;
    for (let at = Math.max(0, left.length - 1 - part); ; at -= part) {
      const from = Math.max(0, at);
      const candidate = [...left.slice(0, from), ...left.slice(Math.min(from + part, left.length - 1))];
      const smaller = candidate.length < left.length ? await differs(candidate) : null;
      if (smaller !== null) {
        left = smaller;
        removed = true;
      }
      if (at <= 0) break;
    }
    if (!removed || part > left.length) part = part === 1 ? 0 : Math.min(Math.floor(part / 2), left.length - 1);
  }
  return left;
}

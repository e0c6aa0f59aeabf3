import { usageError } from './exit.ts';
import type { OptionName, OptionRules } from './options.ts';

/**
 * Holds the given options against the rules of a command or tunnel type, in the order of `checked`.
 * @param subject what the rules belong to, as messages name it: `'list' command`, `'gue' tunnel type`.
 * @throws Exit (2) for the first option that is missing, illegal, or excluded by an earlier one.
 */
export function checkRules(
  given: ReadonlySet<OptionName>,
  checked: readonly OptionName[],
  rules: OptionRules,
  subject: { readonly name: string; readonly kind: 'command' | 'tunnel type' },
): void {
  const of = `the '${subject.name}' ${subject.kind}`;
  let excluder: OptionName | undefined;
  for (const option of checked) {
    const required = rules.required?.includes(option) ?? false;
    if (!given.has(option)) {
      if (required) throw usageError(`You need to supply the '${option}' option for ${of}`);
    } else if (rules.exclusive?.includes(option)) {
      if (excluder !== undefined) {
        throw usageError(`The option '${option}' conflicts with the '${excluder}' option in ${of}`);
      }
      excluder = option;
    } else if (!required && !rules.allowed?.includes(option)) {
      throw usageError(`Illegal '${option}' option with ${of}`);
    }
  }
}

/** The verbs that a director's control socket understands. */
import type { Verb } from './verb.ts';
import { captureVerb } from './verbs/capture.ts';
import { drainVerb } from './verbs/drain.ts';
import { explainVerb } from './verbs/explain.ts';
import { ipvsadmVerb } from './verbs/ipvsadm.ts';
import { statusVerb } from './verbs/status.ts';

/** By name. */
export const VERBS: ReadonlyMap<string, Verb> = new Map(
  [ipvsadmVerb, explainVerb, drainVerb, captureVerb, statusVerb].map((verb) => [verb.name, verb]),
);

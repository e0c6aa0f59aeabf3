/** The verb `explain`: what would happen to a packet, and why. */
import type { Explanation } from '../../engine/explain/explanation.ts';
import { ControlError } from '../protocol.ts';
import type { Verb } from '../verb.ts';

/** {@link Explanation} as JSON holds it: frames in hexadecimal. */
export interface ExplainAnswer extends Omit<Explanation, 'frame' | 'sent'> {
  readonly frame: string;
  readonly sent: readonly { readonly device: string; readonly frame: string; readonly line: string }[];
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/**
 * Parameters: `packet`, a frame in hexadecimal or a packet in a line; `interface`, where it comes in (default: where the
 * way back to its sender leads). Result: {@link ExplainAnswer}.
 */
export const explainVerb: Verb = {
  name: 'explain',
  run(parameters, { director }): ExplainAnswer {
    const { packet, ...options } = parameters;
    if (typeof packet !== 'string') throw new ControlError('ERR_BAD_REQUEST', 'packet must be a string');
    const explanation = director.explain(packet, options);
    const sent = explanation.sent.map(({ device, frame, line }) => ({ device, frame: hex(frame), line }));
    return { ...explanation, frame: hex(explanation.frame), sent };
  },
};

import type { HandshakeCounts } from '../../src/index.ts';

/** What a server that no client has spoken to has counted. */
export const NO_HANDSHAKES: HandshakeCounts = {
  started: 0,
  completed: 0,
  answered: 0,
  timed: 0,
  timedSeconds: 0,
  repeated: 0,
  refused: 0,
  reset: 0,
  expired: 0,
};

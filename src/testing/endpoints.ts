/** The two ends of a conversation, as one of them sees them. */
export interface Endpoints {
  readonly localAddress: number;
  readonly localPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
}

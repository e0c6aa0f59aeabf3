/** What the generator knows of the scenario so far. */
import type { Random } from '../random.ts';
import type { Feature } from './features.ts';

export type Protocol = 'tcp' | 'udp' | 'sctp';
export type Family = 4 | 6;

export interface ServerModel {
  /** As ipvsadm takes it after `-r`. */
  readonly name: string;
  readonly method: 'masq' | 'route' | 'tunnel';
}

export interface ServiceModel {
  /** As ipvsadm takes it: `-t 10.0.0.100:80`, `-f 3 -6`. */
  readonly name: string;
  readonly family: Family;
  /** The protocol of an address service; null for a firewall mark. */
  readonly protocol: Protocol | null;
  readonly address: string;
  /** 0 for all ports. */
  readonly port: number;
  readonly mark: number;
  readonly ops: boolean;
  readonly pe: boolean;
  servers: ServerModel[];
}

/** A rule that gives packets a mark. */
export interface MarkModel {
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
  readonly mark: number;
}

/** Where the director sends a conversation, as its frames show. */
export interface Backend {
  readonly device: string;
  readonly mac: string;
  /** The address and port that the server answers from. */
  readonly address: string;
  readonly port: number;
  readonly isNat: boolean;
}

/** A conversation between a client and a service. */
export interface Flow {
  readonly protocol: Protocol;
  readonly family: Family;
  readonly client: string;
  readonly clientPort: number;
  readonly address: string;
  readonly port: number;
  clientSequence: number;
  serverSequence: number;
  backend: Backend | null;
  /** The last IP packets that the director sent to the server and to the client. */
  toServer: Uint8Array | null;
  toClient: Uint8Array | null;
  packets: number;
}

export interface Model {
  readonly random: Random;
  readonly features: ReadonlySet<Feature>;
  /** Whether seconds pass in the scenario. */
  readonly isTimed: boolean;
  readonly services: ServiceModel[];
  readonly marks: MarkModel[];
  readonly flows: Flow[];
}

/** Conversations that are remembered. */
export const MAX_FLOWS = 24;

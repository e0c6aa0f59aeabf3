/** The state machine of one TCP connection (RFC 9293 section 3.10). */
import type { Clock } from '../clock.ts';
import { ACK, FIN, PSH, RST, SYN } from '../packet/tcp.ts';
import type { Endpoints } from './endpoints.ts';
import { socketError } from './socket-error.ts';
import { RECEIVE_BUFFER, TcpReceiver } from './tcp-receiver.ts';
import { type Segment, sequenceLength } from './tcp-segment.ts';
import { TcpSender } from './tcp-sender.ts';
import { Timer } from './timer.ts';

export type TcpState =
  | 'SYN_SENT'
  | 'SYN_RECEIVED'
  | 'ESTABLISHED'
  | 'FIN_WAIT_1'
  | 'FIN_WAIT_2'
  | 'CLOSE_WAIT'
  | 'CLOSING'
  | 'LAST_ACK'
  | 'TIME_WAIT'
  | 'CLOSED';

/** Who uses the connection. */
export interface TcpUser {
  onConnect(): void;
  /** @returns false to get nothing more before {@link TcpConnection.resume}. */
  onData(bytes: Uint8Array): boolean;
  /** The peer will send nothing more. */
  onEnd(): void;
  onError(error: Error): void;
}

/** What the connection stands on. */
export interface TcpEnvironment {
  readonly clock: Clock;
  /** The largest segment that the way to the peer carries, in bytes. */
  readonly mss: number;
  readonly initialSequence: number;
  send(ends: Endpoints, segment: Segment): void;
  /** The connection is over and can be forgotten. */
  onClosed(connection: TcpConnection): void;
}

/** As Linux: twice the longest life of a segment, and how long a half-closed connection without a user lives. */
const TIME_WAIT_MS = 60_000;
const ORPHAN_MS = 60_000;
/** How often a SYN and how often data are sent again before the connection is given up. */
const SYN_RETRIES = 6;
const RETRIES = 9;
/** At most one bare acknowledgement is answered with another in this time, as Linux's tcp_invalid_ratelimit. */
const CHALLENGE_INTERVAL_MS = 500;
/** How many written bytes may wait before the writer has to. */
const SEND_BUFFER = 65536;
/** What a peer takes that does not name a size (RFC 9293 section 3.7.1). */
const DEFAULT_MSS = 536;
const LEAST_MSS = 88;
const NOTHING = new Uint8Array(0);

/** The sequence number that `wire` stands for, unwrapped: the one nearest to `reference`. */
function unwrap(wire: number, reference: number): number {
  return reference + ((wire - reference) | 0);
}

export class TcpConnection {
  readonly ends: Endpoints;
  #state: TcpState;
  #user: TcpUser | undefined;
  #accepted: ((connection: TcpConnection) => TcpUser) | undefined;
  readonly #environment: TcpEnvironment;
  readonly #sender: TcpSender;
  #receiver: TcpReceiver | undefined;
  readonly #retransmission: Timer;
  /** TIME_WAIT, and FIN_WAIT_2 without a user. */
  readonly #linger: Timer;
  #retries = 0;
  #acknowledgementDue = false;
  #paused = false;
  #endDelivered = false;
  #challengedMs = Number.NEGATIVE_INFINITY;
  #writer: (() => void) | undefined;

  private constructor(ends: Endpoints, environment: TcpEnvironment, state: TcpState, user: TcpUser | undefined) {
    const { clock, initialSequence, mss } = environment;
    this.ends = ends;
    this.#environment = environment;
    this.#state = state;
    this.#user = user;
    this.#sender = new TcpSender(initialSequence, Math.min(DEFAULT_MSS, mss), (seq, payload, fin) => {
      this.#send((fin ? FIN : 0) | (payload.length > 0 ? PSH : 0), seq, payload);
    });
    this.#retransmission = new Timer(clock, () => this.#timedOut());
    this.#linger = new Timer(clock, () => this.#closed(), true);
  }

  /** Asks the peer for a connection. */
  static open(ends: Endpoints, environment: TcpEnvironment, user: TcpUser): TcpConnection {
    const connection = new TcpConnection(ends, environment, 'SYN_SENT', user);
    connection.#sender.roundTrip.sent(connection.#sender.max, environment.clock.now());
    connection.#sendSyn();
    return connection;
  }

  /** Answers the peer's SYN. `accepted` gives the user, once the connection is established. */
  static accept(
    ends: Endpoints,
    environment: TcpEnvironment,
    syn: Segment,
    accepted: (connection: TcpConnection) => TcpUser,
  ): TcpConnection {
    const connection = new TcpConnection(ends, environment, 'SYN_RECEIVED', undefined);
    connection.#accepted = accepted;
    connection.#synchronize(syn);
    connection.#sender.roundTrip.sent(connection.#sender.max, environment.clock.now());
    connection.#sendSyn();
    return connection;
  }

  get state(): TcpState {
    return this.#state;
  }

  /** Takes bytes to send; `done` is called when there is room for more. */
  write(bytes: Uint8Array, done: () => void): void {
    this.#sender.write(bytes);
    this.#writer = done;
    this.#output();
    this.#releaseWriter();
  }

  /** Nothing more will be written. */
  end(): void {
    if (this.#state === 'ESTABLISHED') this.#state = 'FIN_WAIT_1';
    else if (this.#state === 'CLOSE_WAIT') this.#state = 'LAST_ACK';
    else if (this.#state !== 'SYN_SENT' && this.#state !== 'SYN_RECEIVED') return;
    this.#sender.end();
    this.#output();
  }

  /** The user takes data again. */
  resume(): void {
    this.#paused = false;
    this.#deliver();
    const receiver = this.#receiver;
    if (this.#state !== 'CLOSED' && receiver?.windowHasOpened && !receiver.finished) this.#acknowledge();
  }

  /**
   * The user goes. What it wrote is still sent, unless something came that it never read: then the peer is reset, so
   * that it does not believe that everything arrived (RFC 2525 section 2.17).
   */
  close(): void {
    this.#user = undefined;
    this.#writer = undefined;
    if (this.#state === 'SYN_SENT') this.#closed();
    else if ((this.#receiver?.unread.length ?? 0) > 0) this.reset();
    else this.end();
    if (this.#state === 'FIN_WAIT_2') this.#linger.arm(ORPHAN_MS);
  }

  /** Ends the connection at once and tells the peer. */
  reset(): void {
    if (this.#state !== 'CLOSED' && this.#state !== 'SYN_SENT' && this.#state !== 'TIME_WAIT') {
      this.#send(RST, this.#sender.next, NOTHING);
    }
    this.#user = undefined;
    this.#closed();
  }

  /** Forgets the connection without a word, as a machine does that loses its power. */
  vanish(): void {
    this.#user = undefined;
    this.#closed();
  }

  /** An ICMP error came about a segment of this connection: fatal only before it is established (RFC 1122 4.2.3.9). */
  unreachable(code: string): void {
    if (this.#state === 'SYN_SENT') this.#fail(code, 'connect');
  }

  /** A router on the way carries only packets of `mtu` bytes (RFC 1191). */
  fragmentationNeeded(mtu: number): void {
    this.#sender.shrinkTo(Math.max(LEAST_MSS, mtu - 40), this.#environment.clock.now());
  }

  /** Takes a segment from the peer. */
  receive(segment: Segment): void {
    if (this.#state === 'SYN_SENT') this.#receiveInSynSent(segment);
    else if (this.#state !== 'CLOSED') this.#receiveSynchronized(segment, this.#receiver!);
  }

  #receiveInSynSent(segment: Segment): void {
    const { flags } = segment;
    const ack = unwrap(segment.ack, this.#sender.una);
    if (flags & ACK && ack !== this.#sender.max) {
      if (!(flags & RST)) this.#environment.send(this.ends, resetFor(segment));
      return;
    }
    if (flags & RST) {
      if (flags & ACK) this.#fail('ECONNREFUSED', 'connect');
      return;
    }
    if (!(flags & SYN)) return;
    this.#synchronize(segment);
    if (flags & ACK) {
      this.#takeAcknowledgement(segment, this.#receiver!.next - 1, ack);
      this.#acknowledgementDue = true;
      this.#establish();
    } else {
      this.#state = 'SYN_RECEIVED';
      this.#sendSyn();
    }
  }

  #receiveSynchronized(segment: Segment, receiver: TcpReceiver): void {
    const { flags, payload } = segment;
    const seq = unwrap(segment.seq, receiver.next);
    // Data beyond a closed window is refused, but what it acknowledges counts.
    const refused = !receiver.accepts(seq, sequenceLength(segment));
    if (refused && seq !== receiver.next) {
      if (!(flags & RST)) this.#refuse(segment);
      return;
    }
    if (flags & RST) {
      if (seq === receiver.next) this.#resetByPeer();
      else this.#challenge(segment); // a reset must hit exactly (RFC 5961 section 3.2)
      return;
    }
    if (flags & SYN) {
      this.#challenge(segment); // RFC 5961 section 4.2
      return;
    }
    if (!(flags & ACK)) return;
    const ack = unwrap(segment.ack, this.#sender.una);
    if (!this.#acceptsAcknowledgement(segment, ack)) return;
    this.#takeAcknowledgement(segment, seq, ack);
    if (this.#state === 'SYN_RECEIVED') this.#establish();
    if (this.#afterAcknowledgement()) return;
    if (refused) {
      this.#acknowledgementDue = true;
    } else if (sequenceLength(segment) > 0) {
      if (payload.length > 0 && this.#user === undefined && seq + payload.length > receiver.next) {
        this.reset(); // nobody will ever read it (RFC 1122 section 4.2.2.13)
        return;
      }
      this.#acknowledgementDue = true;
      const finishedBefore = receiver.finished;
      receiver.take(seq, payload, (flags & FIN) !== 0);
      if (receiver.finished && !finishedBefore) this.#takeFin();
    }
    this.#deliver();
    this.#output();
  }

  /** Answers a segment that lies outside the window. */
  #refuse(segment: Segment): void {
    if (this.#state === 'SYN_RECEIVED' && segment.flags & SYN) {
      this.#sender.roundTrip.resent();
      this.#sendSyn();
    } else {
      this.#challenge(segment);
    }
    if (this.#state === 'TIME_WAIT' && segment.flags & FIN) this.#linger.arm(TIME_WAIT_MS);
  }

  /** Says where we are. Not to every bare acknowledgement: two ends that disagree would never stop. */
  #challenge(segment: Segment): void {
    if (sequenceLength(segment) === 0) {
      const nowMs = this.#environment.clock.now();
      if (nowMs - this.#challengedMs < CHALLENGE_INTERVAL_MS) return;
      this.#challengedMs = nowMs;
    }
    this.#acknowledge();
  }

  #acceptsAcknowledgement(segment: Segment, ack: number): boolean {
    if (ack > this.#sender.max || (this.#state === 'SYN_RECEIVED' && ack <= this.#sender.una)) {
      if (this.#state === 'SYN_RECEIVED') this.#environment.send(this.ends, resetFor(segment));
      else this.#challenge(segment);
      return false;
    }
    return true;
  }

  #takeAcknowledgement(segment: Segment, seq: number, ack: number): void {
    const sender = this.#sender;
    const windowBefore = sender.window;
    if (ack >= sender.una) sender.updateWindow(seq, ack, segment.window);
    if (ack > sender.una) {
      sender.acknowledge(ack, this.#environment.clock.now());
      this.#retries = 0;
      this.#retransmission.disarm();
      this.#releaseWriter();
    } else if (ack === sender.una && sender.una < sender.max) {
      if (windowBefore === 0) this.#retries = 0; // the peer lives, it is only slow to read
      if (sequenceLength(segment) === 0 && sender.window === windowBefore) sender.duplicateAcknowledgement();
    }
  }

  /** @returns whether the connection is over. */
  #afterAcknowledgement(): boolean {
    if (!this.#sender.finAcknowledged) return false;
    if (this.#state === 'FIN_WAIT_1') {
      this.#state = 'FIN_WAIT_2';
      if (this.#user === undefined) this.#linger.arm(ORPHAN_MS);
    } else if (this.#state === 'CLOSING') {
      this.#waitForStragglers();
    } else if (this.#state === 'LAST_ACK') {
      this.#closed();
      return true;
    }
    return false;
  }

  #takeFin(): void {
    if (this.#state === 'ESTABLISHED') this.#state = 'CLOSE_WAIT';
    else if (this.#state === 'FIN_WAIT_1') this.#state = 'CLOSING';
    else if (this.#state === 'FIN_WAIT_2') this.#waitForStragglers();
  }

  #waitForStragglers(): void {
    this.#state = 'TIME_WAIT';
    this.#retransmission.disarm();
    this.#linger.arm(TIME_WAIT_MS);
  }

  #synchronize(syn: Segment): void {
    const { mss } = this.#environment;
    this.#receiver = new TcpReceiver(syn.seq + 1, mss);
    this.#sender.mss = Math.min(Math.max(LEAST_MSS, syn.mss ?? DEFAULT_MSS), mss);
    this.#sender.updateWindow(syn.seq, 0, syn.window);
  }

  #establish(): void {
    this.#state = this.#sender.ended ? 'FIN_WAIT_1' : 'ESTABLISHED';
    if (this.#accepted !== undefined) this.#user = this.#accepted(this);
    this.#accepted = undefined;
    this.#user?.onConnect();
    this.#output();
  }

  #deliver(): void {
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    while (!this.#paused && this.#user !== undefined) {
      const bytes = receiver.unread.shift();
      if (bytes === undefined) break;
      this.#paused = !this.#user.onData(bytes);
    }
    if (receiver.finished && receiver.unread.length === 0 && !this.#endDelivered) {
      this.#endDelivered = true;
      this.#user?.onEnd();
    }
  }

  #releaseWriter(): void {
    if (this.#writer === undefined || this.#sender.buffered > SEND_BUFFER) return;
    const done = this.#writer;
    this.#writer = undefined;
    done();
  }

  /** Sends what can be sent, the acknowledgement that is due, and sees to the timer. */
  #output(): void {
    if (this.#state === 'CLOSED') return;
    const sender = this.#sender;
    if (sender.synAcknowledged) sender.flush(this.#environment.clock.now());
    if (this.#acknowledgementDue) this.#acknowledge();
    if (!sender.pending) this.#retransmission.disarm();
    else if (!this.#retransmission.armed) this.#retransmission.arm(sender.roundTrip.timeoutMs);
  }

  #timedOut(): void {
    const sender = this.#sender;
    const limit = sender.synAcknowledged ? RETRIES : SYN_RETRIES;
    if (this.#retries++ === limit) {
      this.#fail('ETIMEDOUT', this.#state === 'SYN_SENT' ? 'connect' : 'read');
      return;
    }
    if (sender.synAcknowledged) {
      sender.startOver(this.#environment.clock.now());
    } else {
      sender.roundTrip.expired();
      this.#sendSyn();
    }
    this.#output();
  }

  #sendSyn(): void {
    const { mss } = this.#environment;
    this.#send(SYN, this.#sender.una, NOTHING, mss);
    if (!this.#retransmission.armed) this.#retransmission.arm(this.#sender.roundTrip.timeoutMs);
  }

  #acknowledge(): void {
    this.#send(0, this.#sender.next, NOTHING);
  }

  #send(flags: number, seq: number, payload: Uint8Array, mss?: number): void {
    this.#acknowledgementDue = false;
    const receiver = this.#receiver;
    this.#environment.send(this.ends, {
      seq: seq >>> 0,
      ack: (receiver?.next ?? 0) >>> 0,
      flags: receiver === undefined ? flags : flags | ACK,
      window: receiver?.advertise() ?? RECEIVE_BUFFER,
      mss,
      payload,
    });
  }

  #resetByPeer(): void {
    if (this.#state === 'TIME_WAIT') this.#closed();
    else this.#fail(this.#state === 'SYN_RECEIVED' ? 'ECONNREFUSED' : 'ECONNRESET', 'read');
  }

  #fail(code: string, syscall: string): void {
    const user = this.#user;
    this.#user = undefined;
    this.#closed();
    user?.onError(socketError(code, syscall, this.ends));
  }

  #closed(): void {
    if (this.#state === 'CLOSED') return;
    this.#state = 'CLOSED';
    this.#retransmission.disarm();
    this.#linger.disarm();
    this.#environment.onClosed(this);
  }
}

/** The reset that answers a segment which belongs to no connection (RFC 9293 section 3.10.7.1). */
export function resetFor(segment: Segment): Segment {
  if (segment.flags & ACK) return { seq: segment.ack, ack: 0, flags: RST, window: 0, payload: NOTHING };
  const ack = (segment.seq + sequenceLength(segment)) >>> 0;
  return { seq: 0, ack, flags: RST | ACK, window: 0, payload: NOTHING };
}

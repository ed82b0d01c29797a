// Keeps what the server knows of a watch true: which version the program runs with, and which it refused.

import type { Connection, Report } from './connection.js';
import type { ConfstreamError } from './errors.js';
import type { Snapshot } from './snapshot.js';
import { Outcome as WireOutcome } from './gen/confstream/v1/config_service_pb.js';

/** What became of a version: the program runs with it, or could not use it. */
export type Outcome = 'APPLIED' | 'REJECTED';

/** The server's bound on a reason. */
const mostReasonBytes = 1024;

interface Decision {
  readonly viewDigest: string;
  readonly outcome: Outcome;
  readonly reason: string;
}

/**
 * A report belongs to a stream and is forgotten with it, so after a reconnection the outcome of what is still held is
 * told again; and so it is when the version moves on without other content. One report is under way at a time, and the
 * newest waits; one that fails is tried again by the next `flush`.
 */
export class OutcomeReporter {
  readonly #connection: Connection;
  readonly #signal: AbortSignal;
  readonly #onFailure: (error: ConfstreamError) => void;
  #watchId = '';
  /** The snapshot that the stream stands at; none until it is settled. */
  #settledAt: Snapshot | undefined;
  /** The streams that delivered snapshots. */
  readonly #streams = new WeakMap<Snapshot, string>();
  #decision: Decision | undefined;
  #wanted: Report | undefined;
  #known: Report | undefined;
  #sending = false;

  /** `signal` ends the report that is under way, and lets no other begin. */
  constructor(connection: Connection, signal: AbortSignal, onFailure: (error: ConfstreamError) => void) {
    this.#connection = connection;
    this.#signal = signal;
    this.#onFailure = onFailure;
  }

  /** A new stream has begun. */
  onConnected(watchId: string): void {
    this.#watchId = watchId;
    this.#settledAt = undefined;
    this.#wanted = undefined;
  }

  /** The stream has delivered `held`, or said that it is current. */
  onSettled(held: Snapshot): void {
    this.#settledAt = held;
    this.#streams.set(held, this.#watchId);
    const decision = this.#decision;
    if (decision?.viewDigest === held.viewDigest) this.#want(held, decision);
  }

  /** The program is given other content: if what it has decided on comes back, it decides again. */
  forgetDecision(): void {
    this.#decision = undefined;
  }

  /** The program has decided on `snapshot`. */
  decide(snapshot: Snapshot, outcome: Outcome, reason: string): void {
    const decision = { viewDigest: snapshot.viewDigest, outcome, reason: truncate(reason) };
    this.#decision = decision;
    if (this.#settledAt?.viewDigest === snapshot.viewDigest) {
      this.#want(this.#settledAt, decision);
    } else if (this.#settledAt && this.#streams.get(snapshot) === this.#watchId) {
      // Newer content is here already; the server still wants to know.
      this.#want(snapshot, decision);
    }
    this.flush();
  }

  /** Sends what the server does not know yet. */
  flush(): void {
    if (!this.#sending && this.#wanted !== this.#known) void this.#send();
  }

  #want(snapshot: Snapshot, { outcome, reason }: Decision): void {
    const version = snapshot.header.version;
    const { watchId, version: known, outcome: knownOutcome, reason: knownReason } = this.#wanted ?? {};
    const same =
      watchId === this.#watchId && known === version && knownOutcome === WireOutcome[outcome] && knownReason === reason;
    if (!same) this.#wanted = { watchId: this.#watchId, version, outcome: WireOutcome[outcome], reason };
  }

  async #send(): Promise<void> {
    this.#sending = true;
    for (let report = this.#wanted; report && report !== this.#known && !this.#signal.aborted;) {
      try {
        await this.#connection.report(report, this.#signal);
        this.#known = report;
      } catch (error) {
        this.#onFailure(error as ConfstreamError);
        if (this.#wanted === report) break;
      }
      report = this.#wanted; // what was decided meanwhile follows
    }
    this.#sending = false;
  }
}

/** `text` as a reason can be: of what is too long the end is left out, between two characters. */
function truncate(text: string): string {
  const bytes = Buffer.from(text);
  let end = Math.min(bytes.length, mostReasonBytes);
  while (end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) --end;
  return bytes.toString('utf8', 0, end);
}

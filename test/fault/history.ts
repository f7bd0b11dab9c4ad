import { createWriteStream, type WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { VaultTransport } from '../../client/transport.ts';
import type { ErrorCode } from '../../primitives/errors.ts';

// What happened in a run, as it was seen from outside. Times are milliseconds since the run began; bytes are hexadecimal.

/** 'LOST' is the network's doing: the request, or its answer, was dropped by the run itself. */
export type Outcome = 'ok' | 'LOST' | ErrorCode;

/** A device's request and its answer. Where the network then lost the answer, it is here all the same. */
export interface Call {
  readonly type: 'call';
  readonly at: number;
  readonly until: number;
  readonly device: string;
  readonly method: keyof VaultTransport;
  readonly rid: string;
  /** The generation that the request names; absent where it names none. */
  readonly g?: string;
  readonly outcome: Outcome;
  /** Why it failed, for people. */
  readonly message?: string;
  /** BeginRecovery, FinishRecovery: the point that was sent; of an answer, k of limit and the replicas whose receipts verify. */
  readonly point?: string;
  readonly attempt?: number;
  readonly limit?: number;
  readonly receipts?: readonly number[];
  /** A receipt that does not verify. */
  readonly forged?: readonly number[];
  /** FinishEnrollment: how long recoveries are held, in ms; what is replaced, and in `point` the enrolled point; of an answer, who signed, and whether they were enough. */
  readonly hold?: number;
  readonly previous?: string;
  readonly enrolled?: readonly number[];
  readonly acknowledged?: boolean;
}

/** A point that a token multiplied under a tweak. */
export interface Evaluated {
  readonly type: 'evaluated';
  /** When it was found in the token's log. */
  readonly at: number;
  readonly replica: number;
  /** What the token's HMAC was asked for the tweak: one for each use of each generation. */
  readonly tweak: string;
  /** Its x coordinate, without the tweak. */
  readonly x: string;
}

/** An entry of a code through the whole SDK. */
export interface Entry {
  readonly type: 'entry';
  readonly at: number;
  readonly until: number;
  readonly device: string;
  readonly rid: string;
  /** Whether the code was that of the generation it was tried on; undefined if it was tried on none. */
  readonly isRight: boolean | undefined;
  readonly outcome: Outcome;
  /** What was sent for it. */
  readonly point?: string;
  /** Of a success: whether the key is the one that was enrolled. */
  readonly isOurKey?: boolean;
  readonly message?: string;
}

/** What a device of the owner said of an attempt that is held. */
export interface Decided {
  readonly type: 'decided';
  readonly at: number;
  readonly until: number;
  readonly rid: string;
  /** Hash of the point. */
  readonly h: string;
  readonly word: 'veto' | 'approve';
  /** Enough replicas signed that they keep to it. */
  readonly isFinal: boolean;
}

/** A guard was lost, and filled from the others. */
export interface Rebuilt {
  readonly type: 'rebuilt';
  readonly at: number;
  readonly replica: number;
  readonly records: number;
}

export interface FaultEvent {
  readonly type: 'fault';
  readonly at: number;
  readonly until: number;
  readonly kind: string;
  readonly what: string;
  readonly alone: boolean;
}

/** From now on etcd lies about this record. */
export interface RolledBack {
  readonly type: 'rolled-back';
  readonly at: number;
  readonly rid: string;
}

/** A replica ended, though nobody killed it. */
export interface Exited {
  readonly type: 'exited';
  readonly at: number;
  readonly replica: number;
  /** Its last words. */
  readonly why: string;
}

/** A record after everything healed. */
export interface Final {
  readonly type: 'final';
  readonly rid: string;
  readonly state: 'live' | 'erased' | 'absent';
  readonly g: string;
  readonly limit: number;
  /** Hashes of the points that etcd counts. */
  readonly points: readonly string[];
  /** How many generations were committed in its life. */
  readonly number: number;
}

/** What became of it when a record was used after everything healed. */
export interface Healed {
  readonly type: 'healed';
  readonly rid: string;
  readonly what: 'right code' | 'same bytes' | 'unfinished enrolment';
  readonly outcome: Outcome;
  readonly message?: string;
}

export type HistoryEvent = Call | Evaluated | Entry | FaultEvent | RolledBack | Exited | Final | Healed | Decided | Rebuilt;

/** Collects events, and writes each as a line of JSON as it comes. */
export class History {
  readonly events: HistoryEvent[] = [];
  readonly #file: WriteStream;
  #began = performance.now();

  constructor(file: string) {
    this.#file = createWriteStream(file);
  }

  /** Time counts from now on. */
  begin(): void {
    this.#began = performance.now();
  }

  now(): number {
    return Math.round(performance.now() - this.#began);
  }

  add(event: HistoryEvent): void {
    this.events.push(event);
    this.#file.write(`${JSON.stringify(event)}\n`);
  }

  async close(): Promise<void> {
    this.#file.end();
    await finished(this.#file);
  }
}

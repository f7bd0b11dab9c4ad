import { setTimeout as delay } from 'node:timers/promises';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type TokenFault, tokenFaults } from '../../protocol/token-fault.ts';
import { CallQueue, type QueuedCall } from './call-queue.ts';
import { detached, WorkerFailure } from './messages.ts';
import type { Argument, OperationName, Result } from './operations.ts';
import { PinReader, type PinSource } from './pin-reader.ts';
import type { TokenIdentity } from './port.ts';
import type { ReplicaLocation } from './replica.ts';
import { TokenThread } from './thread.ts';
import { faultOf } from './token-fault.ts';

/** For the daemon's log and metrics. */
export type TokenEvent =
  | { readonly kind: 'worker-died'; readonly reason: string }
  /** Nothing is served from now on; told again when the fault becomes another. */
  | { readonly kind: 'token-lost'; readonly reason: string; readonly fault: TokenFault }
  | { readonly kind: 'token-back'; readonly reason: string }
  | { readonly kind: 'module-recycled' };

const RETRY: Millis = 100;
/** Calls under way that take longer than this when the token is to be opened anew are said to be silent. */
const PATIENCE: Millis = 1000;
/** A token that was back no longer than this, so often in a row, is not served: each login costs, and its callers have other replicas. */
const RELAPSE: Millis = 1000;
const RELAPSES_MOST = 3;
/** Calls in a worker: the one under way, and the next, so that no worker waits for this thread. */
const DEPTH = 2;

// C_Finalize ends every session of the process, so only the one pool there is may call it.
const openPools = new Set<WorkerPool>();

/**
 * Worker threads that each hold a session, and the calls that wait for them. When the token is lost, or what the module leaked is to be
 * given back, calls wait, the workers fall silent, and everything is opened anew; calls that wait are refused once that has failed.
 */
export class WorkerPool {
  readonly #location: ReplicaLocation;
  readonly #pin: PinReader;
  readonly #onEvent: (event: TokenEvent) => void;
  readonly #queue: CallQueue;
  readonly #threads = new Set<TokenThread>();
  readonly #running = new Set<Promise<void>>();
  #identity: TokenIdentity | undefined;
  /** As written last by us. */
  #bootRecord: Uint8Array | undefined;
  /** Do workers get calls? */
  #isServing = false;
  #fault: TokenFault | undefined;
  #reopening: Promise<void> | undefined;
  #lastBack: Millis = Number.NEGATIVE_INFINITY;
  #relapses = 0;
  /** Session objects since the module was initialised. */
  #objectsMade = 0;
  #closing: Promise<void> | undefined;

  constructor(location: ReplicaLocation, pin: PinSource, onEvent: (event: TokenEvent) => void) {
    this.#location = location;
    this.#pin = new PinReader(pin);
    this.#onEvent = onEvent;
    this.#queue = new CallQueue(location.profile.queueLimit, location.profile.callTimeout);
    openPools.add(this);
  }

  /** Opens the token in every worker; the first one tests it. Throws what opening throws, and TOKEN_UNFIT. */
  async start(): Promise<TokenIdentity> {
    try {
      await this.#open({ afresh: false, selfTest: true });
      this.#serve();
    } catch (error) {
      await this.close();
      throw error instanceof WorkerFailure ? error.error : error;
    }
    return this.#identity as TokenIdentity;
  }

  /** Why nothing is served; undefined also while calls wait for the token to be opened anew. */
  get fault(): TokenFault | undefined {
    return this.#fault;
  }

  async call<Name extends OperationName>(operation: Name, argument: Argument<Name>): Promise<Result<Name>> {
    if (this.#closing !== undefined) throw new VaultError('TOKEN_UNAVAILABLE', 'The token is being closed.');
    if (this.#fault === 'taken' && operation === 'readBootRecord') throw taken();
    if (this.#fault !== undefined) throw unavailable(this.#fault);
    // Whether the token answers must be known also when everybody wants something of it.
    const answer = this.#queue.add(operation, detached(argument), this.#underWay(), operation === 'readBootRecord');
    this.#dispatch();
    return answer as Promise<Result<Name>>;
  }

  /** Answers the calls that were accepted, then lets go of the token. The last worker finalises the module. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { callTimeout } = this.#location.profile;
    // Not waited for longer than a call: a worker stuck in the module cannot even be terminated.
    await Promise.race([Promise.all([this.#drained(), this.#reopening]), delay(callTimeout, undefined, { ref: false })]);
    this.#isServing = false;
    this.#queue.refuseAll(() => new VaultError('TOKEN_UNAVAILABLE', 'The token was closed.'));
    const threads = [...this.#threads];
    for (const [i, thread] of threads.entries()) {
      const end = thread.ask({ kind: 'end', finalise: i === threads.length - 1 && openPools.size === 1 }).catch(() => {});
      await Promise.race([end, delay(callTimeout, undefined, { ref: false })]);
    }
    openPools.delete(this);
  }

  async #drained(): Promise<void> {
    while (this.#isServing && this.#running.size > 0) await Promise.race(this.#running);
  }

  #underWay(): number {
    let count = 0;
    for (const { underWay } of this.#threads) count += underWay;
    return count;
  }

  #dispatch(): void {
    while (this.#isServing && this.#queue.length > 0) {
      const thread = this.#leastBusy();
      if (thread === undefined || thread.underWay >= DEPTH) return;
      const running = this.#run(thread, this.#queue.next() as QueuedCall).finally(() => {
        this.#running.delete(running);
        this.#dispatch();
      });
      this.#running.add(running);
    }
  }

  #leastBusy(): TokenThread | undefined {
    let best: TokenThread | undefined;
    for (const thread of this.#threads) if (best === undefined || thread.underWay < best.underWay) best = thread;
    return best;
  }

  async #run(thread: TokenThread, call: QueuedCall): Promise<void> {
    const { operation, argument } = call;
    if (operation === 'writeBootRecord') this.#bootRecord = undefined;
    try {
      const value = await thread.ask({ kind: 'call', operation, argument });
      if (operation === 'writeBootRecord') this.#bootRecord = argument as Uint8Array;
      call.resolve(value);
    } catch (failure) {
      this.#failed(call, failure as WorkerFailure);
    }
  }

  #failed(call: QueuedCall, failure: WorkerFailure): void {
    // Nothing in a read of the boot record can be at fault but the token.
    if (failure.meaning === 'fault' && call.operation !== 'readBootRecord') {
      call.reject(failure.error);
      return;
    }
    if (call.hadItsTurn || this.#fault !== undefined || this.#closing !== undefined)
      call.reject(new VaultError('TOKEN_UNAVAILABLE', failure.message));
    else {
      call.hadItsTurn = true;
      this.#queue.putBack(call);
    }
    if (failure.meaning !== 'ended') this.#reopen(failure);
  }

  #ended(thread: TokenThread, reason: string): void {
    this.#threads.delete(thread);
    if (this.#closing !== undefined || !this.#isServing) return;
    this.#onEvent({ kind: 'worker-died', reason });
    this.#reopen(new VaultError('TOKEN_UNAVAILABLE', 'A token worker ended.')); // what it left in the module goes with the module's end
  }

  #countObjects(made: number): void {
    this.#objectsMade += made;
    const budget = this.#location.profile.recycleAfterObjects ?? Number.POSITIVE_INFINITY;
    if (this.#objectsMade >= budget && openPools.size === 1) this.#reopen(undefined);
  }

  /** For `cause`; without one the module is recycled. */
  #reopen(cause: unknown): void {
    if (!this.#isServing || this.#closing !== undefined) return;
    this.#isServing = false;
    this.#reopening = this.#untilOpen(cause).finally(() => {
      this.#reopening = undefined;
    });
  }

  async #untilOpen(first: unknown): Promise<void> {
    const began = performance.now();
    let cause = first;
    this.#relapses = cause !== undefined && began - this.#lastBack < RELAPSE ? this.#relapses + 1 : 0;
    if (this.#relapses >= RELAPSES_MOST) {
      this.#lose(cause);
      await delay(RETRY);
    }
    while (this.#closing === undefined && this.#fault !== 'taken') {
      try {
        await this.#quiet();
        await this.#open({ afresh: openPools.size === 1, selfTest: cause !== undefined });
        this.#serve();
        this.#lastBack = performance.now();
        const ms = Math.round(this.#lastBack - began);
        if (cause === undefined) this.#onEvent({ kind: 'module-recycled' });
        else this.#onEvent({ kind: 'token-back', reason: `after ${ms} ms: ${messageOf(cause)}` });
        return;
      } catch (error) {
        cause = error;
        this.#lose(error);
        await delay(RETRY);
      }
    }
  }

  #lose(cause: unknown): void {
    const fault = faultOf(cause);
    if (fault !== this.#fault) {
      this.#fault = fault;
      this.#onEvent({ kind: 'token-lost', fault, reason: messageOf(cause) });
    }
    this.#queue.refuseAll(() => unavailable(fault));
  }

  #serve(): void {
    this.#fault = undefined;
    this.#isServing = true;
    this.#dispatch();
  }

  /** No worker is in the module. */
  async #quiet(): Promise<void> {
    const quiet = Promise.all(Array.from(this.#threads, (thread) => thread.idle()));
    const isSilent = await Promise.race([quiet.then(() => false), delay(PATIENCE, true, { ref: false })]);
    if (isSilent) this.#lose('silent');
    await quiet;
  }

  /** Opens the token in every worker; the first one logs in, for all of them. Afterwards no worker is in the module, whatever happened. */
  async #open({ afresh, selfTest }: { afresh: boolean; selfTest: boolean }): Promise<void> {
    this.#fill();
    const threads = [...this.#threads];
    await Promise.allSettled(threads.map((thread) => thread.ask({ kind: 'leave' })));
    const [first, ...others] = threads as [TokenThread, ...TokenThread[]];
    const open = { kind: 'open', afresh: false, selfTest: false } as const;
    const expected = await this.#pin.use(
      (pin) => first.ask({ ...open, afresh, pin, selfTest, ...this.#expected() }) as Promise<TokenIdentity>,
    );
    if (afresh) this.#objectsMade = 0;
    const opened = await Promise.allSettled(others.map((thread) => thread.ask({ ...open, expected })));
    for (const result of opened) if (result.status === 'rejected') throw result.reason;
    if (this.#bootRecord !== undefined) {
      const record = (await first.ask({ kind: 'call', operation: 'readBootRecord', argument: undefined })) as Uint8Array;
      if (!constantTimeEqual(record, this.#bootRecord)) throw taken();
    }
    this.#identity = expected;
  }

  #fill(): void {
    const { workers } = this.#location.profile;
    while (this.#threads.size < workers)
      this.#threads.add(
        new TokenThread(
          this.#location,
          (made) => this.#countObjects(made),
          (thread, reason) => this.#ended(thread, reason),
        ),
      );
  }

  readonly #expected = () => (this.#identity === undefined ? {} : { expected: this.#identity });
}

const unavailable = (fault: TokenFault): VaultError => new VaultError('TOKEN_UNAVAILABLE', `Not served: ${tokenFaults[fault]}.`);

const taken = (): VaultError =>
  new VaultError(
    'GUARD_MISMATCH',
    'This replica must not serve: another daemon served with this token: stop one of them, and look which guard is the right one.',
  );

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

import { setTimeout as delay } from 'node:timers/promises';
import type { Millis } from '../../../primitives/brand.ts';
import { VaultError } from '../../../primitives/errors.ts';
import { threadsOf } from '../../../primitives/process-threads.ts';
import { type TokenFault, tokenFaults } from '../../../protocol/token-fault.ts';
import type { ReplicaLocation } from '../keys/replica.ts';
import type { Argument, OperationName, Result } from '../operations.ts';
import type { TokenIdentity } from '../port.ts';
import { CallQueue, type QueuedCall } from './call-queue.ts';
import { Crew, taken } from './crew.ts';
import { detached, WorkerFailure } from './messages.ts';
import type { PinSource } from './pin-reader.ts';
import type { TokenThread } from './thread.ts';
import { faultOf } from './token-fault.ts';

/** For the daemon's log and metrics. */
export type TokenEvent =
  | { readonly kind: 'worker-died'; readonly reason: string }
  /** Nothing is served from now on; told again when the fault becomes another. */
  | { readonly kind: 'token-lost'; readonly reason: string; readonly fault: TokenFault }
  | { readonly kind: 'token-back'; readonly reason: string }
  | { readonly kind: 'module-recycled' };

export interface PoolOptions {
  readonly pin: PinSource;
  readonly onEvent: (event: TokenEvent) => void;
  readonly checkEvery: Millis;
}

const RETRY: Millis = 100;
/** A module that does not answer at the start is given up after so many times as long as a call may take: the next process may get through. */
const START_CALLS = 12;
/** Calls under way that take longer than this when the token is to be opened anew are said to be silent. */
const PATIENCE: Millis = 1000;
/**
 * A token that was back no longer than this, so often in a row, has to stay well for as long before it is served: each login costs, and
 * callers have other replicas.
 */
const RELAPSE: Millis = 1000;
const RELAPSES_MOST = 3;
/** Between self-tests of a token that is served and failed a call: what callers send may be why, and must not cost more. */
const RETEST: Millis = 1000;
/** Calls in a worker: the one under way, and the next, so that no worker waits for this thread. */
const DEPTH = 2;

// C_Finalize ends every session of the process, so only the one pool there is may call it. One that could not be closed stays here.
const openPools = new Set<WorkerPool>();

/** Whether the token answers, and rightly, must be known also when everybody wants something of it. */
const urgent: ReadonlySet<OperationName> = new Set(['readBootRecord', 'checkDerivations']);

/** Does a thread hang in a module? Then this process cannot exit, only be killed: Node waits for its threads. */
export const hangsInModule = (): boolean => [...openPools].some(({ silentFor }) => silentFor > PATIENCE);

/**
 * Worker threads that each hold a session, and the calls that wait for them. When the token is lost, or what the module leaked is to be
 * given back, calls wait, the workers fall silent, and everything is opened anew; calls that wait are refused once that has failed.
 */
export class WorkerPool {
  readonly #location: ReplicaLocation;
  readonly #onEvent: (event: TokenEvent) => void;
  readonly #queue: CallQueue;
  readonly #crew: Crew;
  readonly #checks: NodeJS.Timeout;
  readonly #running = new Set<Promise<void>>();
  /** Do workers get calls? */
  #isServing = false;
  #fault: TokenFault | undefined;
  #reopening: Promise<void> | undefined;
  #lastBack: Millis = Number.NEGATIVE_INFINITY;
  #relapses = 0;
  #lastTest: Millis = Number.NEGATIVE_INFINITY;
  #isSuspect = false;
  /** Session objects since the module was initialised. */
  #objectsMade = 0;
  #closing: Promise<void> | undefined;

  constructor(location: ReplicaLocation, { pin, onEvent, checkEvery }: PoolOptions) {
    this.#location = location;
    this.#onEvent = onEvent;
    this.#checks = setInterval(() => this.#check(), checkEvery);
    this.#checks.unref();
    this.#queue = new CallQueue(location.profile.queueLimit, location.profile.callTimeout);
    this.#crew = new Crew(
      location,
      pin,
      (made) => this.#countObjects(made),
      (reason) => this.#workerEnded(reason),
    );
    openPools.add(this);
  }

  /** Opens the token in every worker; the first one tests it. Throws what opening throws, and TOKEN_UNFIT; TOKEN_UNAVAILABLE where the module does not answer. */
  async start(): Promise<TokenIdentity> {
    const began = performance.now();
    const { callTimeout } = this.#location.profile;
    const waits = setTimeout(() => this.#lose('silent'), callTimeout); // for the log: it is waited for
    let watch: NodeJS.Timeout | undefined;
    const hangs = new Promise<never>((_, reject) => {
      watch = setInterval(() => this.silentFor > START_CALLS * callTimeout && reject(hangsAtStart(this.#crew.unanswered)), RETRY);
    });
    try {
      await Promise.race([this.#crew.open({ afresh: false, isTested: true }), hangs]);
      const wasSilent = this.#fault !== undefined;
      this.#serve();
      if (wasSilent) this.#onEvent({ kind: 'token-back', reason: `after ${Math.round(performance.now() - began)} ms` });
    } catch (error) {
      await this.close().catch(() => {}); // why it could not be opened is what matters
      if (!(error instanceof WorkerFailure)) throw error;
      throw error.meaning === 'ended' ? new VaultError('INTERNAL', error.message) : error.error;
    } finally {
      clearTimeout(waits);
      clearInterval(watch);
    }
    return this.#crew.identity as TokenIdentity;
  }

  /** Why nothing is served; undefined also while calls wait for the token to be opened anew. */
  get fault(): TokenFault | undefined {
    return this.#fault;
  }

  /** Of a worker in the module, without an answer. */
  get silentFor(): Millis {
    return this.#crew.silentFor;
  }

  async call<Name extends OperationName>(operation: Name, argument: Argument<Name>): Promise<Result<Name>> {
    if (this.#closing !== undefined) throw new VaultError('TOKEN_UNAVAILABLE', 'The token is being closed.');
    if (this.#fault === 'taken' && operation === 'readBootRecord') throw taken();
    if (this.#fault !== undefined) throw unavailable(this.#fault);
    const answer = this.#queue.add(operation, detached(argument), this.#crew.underWay, urgent.has(operation));
    this.#dispatch();
    return answer as Promise<Result<Name>>;
  }

  /**
   * Answers the calls that were accepted, then lets go of the token. The last worker finalises the module. Throws TOKEN_UNAVAILABLE if one
   * hangs in the module.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#checks);
    await Promise.race([Promise.all([this.#drained(), this.#reopening]), this.#stuck()]);
    this.#isServing = false;
    this.#queue.refuseAll(() => new VaultError('TOKEN_UNAVAILABLE', 'The token was closed.'));
    if (!(await this.#crew.end(openPools.size === 1)))
      throw new VaultError('TOKEN_UNAVAILABLE', 'A call hangs in the PKCS#11 module, from which only the end of this process takes it.');
    openPools.delete(this);
  }

  /** A worker has not answered for as long as a call may take: it cannot even be terminated. */
  async #stuck(): Promise<void> {
    const { callTimeout } = this.#location.profile;
    const until = performance.now() + callTimeout;
    while (this.silentFor < callTimeout && performance.now() < until) await delay(RETRY, undefined, { ref: false });
  }

  async #drained(): Promise<void> {
    while (this.#isServing && this.#running.size > 0) await Promise.race(this.#running);
  }

  #dispatch(): void {
    while (this.#isServing && this.#queue.length > 0) {
      const thread = this.#crew.leastBusy();
      if (thread === undefined || thread.underWay >= DEPTH) return;
      const running = this.#run(thread, this.#queue.next() as QueuedCall).finally(() => {
        this.#running.delete(running);
        this.#dispatch();
      });
      this.#running.add(running);
    }
  }

  async #run(thread: TokenThread, call: QueuedCall): Promise<void> {
    const { operation, argument } = call;
    if (operation === 'writeBootRecord') this.#crew.bootRecord = undefined;
    try {
      const value = await thread.ask({ kind: 'call', operation, argument });
      if (operation === 'writeBootRecord') this.#crew.bootRecord = argument as Uint8Array;
      call.resolve(value);
    } catch (failure) {
      this.#failed(call, failure as WorkerFailure);
    }
  }

  #failed(call: QueuedCall, failure: WorkerFailure): void {
    // Nothing in a read of the boot record can be at fault but the token.
    if (failure.meaning === 'fault' && call.operation !== 'readBootRecord') {
      call.reject(failure.error);
      if (failure.error.code === 'TOKEN_FAULT') void this.#suspect();
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

  /** Where it fails, the token is suspect (`#failed`); how often the last ones were answered does not matter. */
  #check(): void {
    if (this.#isServing && this.#closing === undefined) this.call('checkDerivations', undefined).catch(() => {});
  }

  /** The token failed a call, and may be well all the same: the self-test decides, beside other calls. */
  async #suspect(): Promise<void> {
    if (this.#isSuspect) return;
    this.#isSuspect = true;
    await delay(Math.max(0, this.#lastTest + RETEST - performance.now()), undefined, { ref: false });
    try {
      if (this.#isServing) await this.#crew.test();
    } catch (failure) {
      this.#reopen(failure);
    }
    this.#lastTest = performance.now();
    this.#isSuspect = false;
  }

  #workerEnded(reason: string): void {
    if (this.#closing !== undefined || !this.#isServing) return;
    this.#onEvent({ kind: 'worker-died', reason });
    this.#reopen(new VaultError('TOKEN_UNAVAILABLE', `A token worker ended: ${reason}`)); // what it left in the module goes with the module's end
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
    const isOnTrial = this.#relapses >= RELAPSES_MOST;
    if (isOnTrial) {
      this.#lose(cause);
      await delay(RETRY);
    }
    while (this.#closing === undefined && this.#fault !== 'taken') {
      try {
        await this.#quiet();
        await this.#open(cause !== undefined);
        if (isOnTrial) await this.#crew.staysWell(RELAPSE);
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

  async #quiet(): Promise<void> {
    const quiet = this.#crew.quiet();
    const isSilent = await Promise.race([quiet.then(() => false), delay(PATIENCE, true, { ref: false })]);
    if (isSilent) this.#lose('silent');
    await quiet;
  }

  async #open(isTested: boolean): Promise<void> {
    const afresh = openPools.size === 1;
    await this.#crew.open({ afresh, isTested });
    if (afresh) this.#objectsMade = 0;
  }

  #lose(cause: unknown): void {
    const fault = faultOf(cause);
    if (fault !== this.#fault) {
      this.#fault = fault;
      const reason =
        fault === 'silent' ? `workers were asked and do not answer: ${this.#crew.unanswered}; ${threadsNow()}` : messageOf(cause);
      this.#onEvent({ kind: 'token-lost', fault, reason });
    }
    this.#queue.refuseAll(() => unavailable(fault));
  }

  #serve(): void {
    this.#fault = undefined;
    this.#isServing = true;
    this.#dispatch();
  }
}

/** Where they hang, for whoever has to find out: nothing else can tell afterwards. */
function threadsNow(): string {
  try {
    return `threads ${threadsOf(process.pid)}`;
  } catch (error) {
    return `threads cannot be seen: ${messageOf(error)}`;
  }
}

const hangsAtStart = (unanswered: string) =>
  new VaultError(
    'TOKEN_UNAVAILABLE',
    `The PKCS#11 module does not answer (its workers were asked: ${unanswered}), so that the token cannot be opened: start the replica again.`,
  );

const unavailable = (fault: TokenFault): VaultError => new VaultError('TOKEN_UNAVAILABLE', `Not served: ${tokenFaults[fault]}.`);

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

import { setTimeout as delay } from 'node:timers/promises';
import type { Millis } from '../../../primitives/brand.ts';
import { constantTimeEqual } from '../../../primitives/bytes.ts';
import { VaultError } from '../../../primitives/errors.ts';
import type { ReplicaLocation } from '../keys/replica.ts';
import type { TokenIdentity } from '../port.ts';
import { type PlainError, WorkerFailure } from './messages.ts';
import { PinReader, type PinSource } from './pin-reader.ts';
import { TokenThread } from './thread.ts';

/** For each to leave the module, and for the last to finalise it. */
const LEAVING: Millis = 2000;
const LOOK: Millis = 100;

/** The worker threads, each with a session, and what is done with all of them at once: they open the token, fall silent, end. */
export class Crew {
  readonly #location: ReplicaLocation;
  readonly #pin: PinReader;
  readonly #onObjects: (made: number) => void;
  readonly #onEnd: (reason: string) => void;
  readonly #threads = new Set<TokenThread>();
  #identity: TokenIdentity | undefined;
  /** As written last by us; a token that has another one was served by another daemon. Undefined while it is being written. */
  bootRecord: Uint8Array | undefined;

  constructor(location: ReplicaLocation, pin: PinSource, onObjects: (made: number) => void, onEnd: (reason: string) => void) {
    this.#location = location;
    this.#pin = new PinReader(pin);
    this.#onObjects = onObjects;
    this.#onEnd = onEnd;
  }

  get identity(): TokenIdentity | undefined {
    return this.#identity;
  }

  get underWay(): number {
    let count = 0;
    for (const { underWay } of this.#threads) count += underWay;
    return count;
  }

  /** Of the worker that has been in the module for longest without an answer. */
  get silentFor(): Millis {
    return Math.max(0, ...Array.from(this.#threads, ({ silentFor }) => silentFor));
  }

  /** What workers were asked and have not answered: for messages. */
  get unanswered(): string {
    return Array.from(this.#threads, ({ unanswered }) => unanswered.join('+') || 'nothing').join(', ');
  }

  leastBusy(): TokenThread | undefined {
    let best: TokenThread | undefined;
    for (const thread of this.#threads) if (best === undefined || thread.underWay < best.underWay) best = thread;
    return best;
  }

  /** No worker is in the module. */
  async quiet(): Promise<void> {
    await Promise.all(Array.from(this.#threads, (thread) => thread.idle()));
  }

  /**
   * Opens the token in every worker; the first one logs in, for all of them, and tests it while the others open it: fully if it is not
   * known as it says it is, else shortly, or not at all. Afterwards no worker is in the module, whatever happened.
   */
  async open({ afresh, isTested }: { afresh: boolean; isTested: boolean }): Promise<void> {
    this.#fill();
    const threads = [...this.#threads];
    await Promise.allSettled(threads.map((thread) => thread.ask({ kind: 'leave' })));
    const [first, ...others] = threads as [TokenThread, ...TokenThread[]]; // one that ended meanwhile says why
    const known = this.#identity;
    const expected = known === undefined ? {} : { expected: known };
    const identity = (await this.#pin.use((pin) => first.ask({ kind: 'open', afresh, pin, ...expected }))) as TokenIdentity;
    const isSame = known !== undefined && describe(known) === describe(identity);
    const opened = others.map((thread) => thread.ask({ kind: 'open', afresh: false, expected: identity }));
    if (isTested || !isSame) opened.push(first.ask({ kind: 'test', extent: isSame ? 'short' : 'full' }));
    for (const result of await Promise.allSettled(opened)) if (result.status === 'rejected') throw result.reason;
    await this.#expectOurs(first);
    if (threads.some(({ hasEnded }) => hasEnded)) throw new WorkerFailure(endedMeanwhile);
    this.#identity = identity;
  }

  /** The short self-test, beside what is served. */
  async test(): Promise<void> {
    await this.#first().ask({ kind: 'test', extent: 'short' });
  }

  /** Resolves once the token was well for so long; throws what it failed with. */
  async staysWell(during: Millis): Promise<void> {
    for (const from = performance.now(); performance.now() - from < during; await delay(LOOK)) await this.#expectOurs(this.#first());
  }

  /** Resolves to whether all ended: if not, one hangs in the module, from which only the end of the process takes it. */
  async end(isLastInModule: boolean): Promise<boolean> {
    const deadline = delay(LEAVING, false, { ref: false });
    const [last, ...others] = this.#threads;
    const end = (thread: TokenThread | undefined, finalise: boolean) =>
      thread?.ask({ kind: 'end', finalise }).then(
        () => true,
        () => true, // it ended before
      );
    const areGone = await Promise.race([Promise.all(others.map((thread) => end(thread, false))), deadline]);
    // C_Finalize takes the module away under the feet of who hangs in it.
    const isGone = await Promise.race([end(last, isLastInModule && areGone !== false), deadline]);
    return areGone !== false && isGone !== false;
  }

  #first(): TokenThread {
    const [first] = this.#threads;
    if (first === undefined) throw new WorkerFailure(endedMeanwhile);
    return first;
  }

  async #expectOurs(thread: TokenThread): Promise<void> {
    const record = (await thread.ask({ kind: 'call', operation: 'readBootRecord', argument: undefined })) as Uint8Array;
    if (this.bootRecord !== undefined && !constantTimeEqual(record, this.bootRecord)) throw taken();
  }

  #fill(): void {
    while (this.#threads.size < this.#location.profile.workers)
      this.#threads.add(
        new TokenThread(this.#location, this.#onObjects, (thread, reason) => {
          this.#threads.delete(thread);
          this.#onEnd(reason);
        }),
      );
  }
}

export const taken = (): VaultError =>
  new VaultError(
    'GUARD_MISMATCH',
    'This replica must not serve: another daemon served with this token: stop one of them, and look which guard is the right one.',
  );

const endedMeanwhile: PlainError = { code: 'TOKEN_UNAVAILABLE', message: 'A token worker ended.', meaning: 'ended' };

/** By what it says of itself; that its serial number and keys are the same is required (worker.ts). */
const describe = ({ manufacturer, model, serial, firmware }: TokenIdentity): string =>
  JSON.stringify([manufacturer, model, serial, firmware]);

import { once } from 'node:events';
import { setTimeout as startTimer } from 'node:timers';
import { setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Millis } from '../../primitives/brand.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import type { SecretBytes } from '../../primitives/secret-bytes.ts';
import { detached, type FromWorker, fromPlain, type ToWorker, type WorkerData } from './messages.ts';
import type { Argument, OperationName, Result } from './operations.ts';
import type { TokenIdentity } from './port.ts';
import type { ReplicaLocation } from './replica.ts';

/** For the daemon's log and metrics. */
export type TokenEvent =
  | { readonly kind: 'worker-died'; readonly reason: string }
  | { readonly kind: 'worker-restarted' }
  /** No further attempt is made: each would bring the token nearer to locking the PIN. */
  | { readonly kind: 'pin-refused' }
  | { readonly kind: 'module-recycled' };

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: VaultError) => void;
  readonly timer: NodeJS.Timeout;
}

interface Member {
  readonly worker: Worker;
  readonly pending: Map<number, Pending>;
  recycling: boolean;
}

const RESTART_DELAY: Millis = 1000;

// C_Finalize ends every session of the process, so only the last pool's last worker may call it.
const openPools = new Set<WorkerPool>();

/** Worker threads that each hold a session, and the calls under way in them. */
export class WorkerPool {
  readonly #location: ReplicaLocation;
  readonly #pin: SecretBytes;
  readonly #onEvent: (event: TokenEvent) => void;
  readonly #members = new Set<Member>();
  #identity: TokenIdentity | undefined;
  #nextId = 0;
  #closing: Promise<void> | undefined;

  /** Takes `pin` over: it is wiped by `close`. */
  constructor(location: ReplicaLocation, pin: SecretBytes, onEvent: (event: TokenEvent) => void) {
    this.#location = location;
    this.#pin = pin;
    this.#onEvent = onEvent;
    openPools.add(this);
  }

  /** Opens the token in every worker; the first one tests it. Throws what opening throws, and TOKEN_UNFIT. */
  async start(): Promise<TokenIdentity> {
    try {
      for (let i = 0; i < this.#location.profile.workers; i++) await this.#startWorker();
    } catch (error) {
      await this.close();
      throw error;
    }
    return this.#identity as TokenIdentity;
  }

  async call<Name extends OperationName>(operation: Name, argument: Argument<Name>): Promise<Result<Name>> {
    const { queueLimit, callTimeout } = this.#location.profile;
    if (this.#closing !== undefined) throw new VaultError('TOKEN_UNAVAILABLE', 'The token is being closed.');
    const [member] = [...this.#members].sort((a, b) => a.pending.size - b.pending.size);
    if (member === undefined) throw new VaultError('TOKEN_UNAVAILABLE', 'No token worker is running.');
    if (this.#underWay() >= queueLimit) throw new VaultError('BUSY', `The token has ${queueLimit} calls under way.`);
    const id = this.#nextId++;
    return new Promise<unknown>((resolve, reject) => {
      // The call keeps its place until the worker answers: a stuck token must fill the queue, not empty it.
      const timer = startTimer(
        () => reject(new VaultError('TOKEN_UNAVAILABLE', `The token did not answer in ${callTimeout} ms.`)),
        callTimeout,
      );
      member.pending.set(id, { resolve, reject, timer });
      post(member.worker, { kind: 'call', id, operation, argument: detached(argument) });
    }) as Promise<Result<Name>>;
  }

  /** Waits for the calls under way, then lets go of the token. The last worker finalises the module. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const members = [...this.#members];
    for (const [i, { worker }] of members.entries()) {
      const exited = once(worker, 'exit');
      // Queued behind the calls. Not waited for longer than a call: a worker stuck in the module cannot even be terminated.
      post(worker, { kind: 'close', finalise: i === members.length - 1 && openPools.size === 1 });
      await Promise.race([exited, setTimeout(this.#location.profile.callTimeout, undefined, { ref: false })]);
    }
    openPools.delete(this);
    this.#pin.wipe();
  }

  #underWay(): number {
    let count = 0;
    for (const { pending } of this.#members) count += pending.size;
    return count;
  }

  #startWorker(): Promise<void> {
    const first = this.#identity === undefined;
    const workerData: WorkerData = {
      location: this.#location,
      selfTest: first,
      ...(this.#identity === undefined ? {} : { expected: this.#identity }),
    };
    const worker = new Worker(entry(), { workerData });
    const member: Member = { worker, pending: new Map(), recycling: false };
    return new Promise((resolve, reject) => {
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'ready') {
          this.#identity ??= message.identity;
          this.#members.add(member);
          resolve();
        } else if (message.kind === 'unopened') {
          reject(fromPlain(message.error));
          void worker.terminate();
        } else this.#settle(member, message);
      });
      worker.on('error', (error) => {
        reject(new VaultError('TOKEN_UNAVAILABLE', 'A token worker could not start.', { cause: error }));
        this.#lost(member, error.message);
      });
      worker.on('exit', (code) => this.#lost(member, `exit code ${code}`));
      const pin = Uint8Array.from(this.#pin.expose());
      // Transferred, so that no copy of it stays on this side.
      worker.postMessage({ kind: 'open', pin } satisfies ToWorker, [pin.buffer]);
    });
  }

  #settle(member: Member, message: Extract<FromWorker, { kind: 'result' | 'error' }>): void {
    const call = member.pending.get(message.id);
    member.pending.delete(message.id);
    if (call !== undefined) {
      clearTimeout(call.timer);
      if (message.kind === 'result') call.resolve(message.value);
      else call.reject(fromPlain(message.error));
    }
    this.#recycle(member, message.objectsMade);
  }

  /** Only a lone worker may finalise the module. */
  #recycle(member: Member, objectsMade: number): void {
    const full = objectsMade >= (this.#location.profile.recycleAfterObjects ?? Number.POSITIVE_INFINITY);
    const start = full && !member.recycling && this.#members.size === 1 && openPools.size === 1;
    member.recycling = full && (member.recycling || start);
    if (!start) return;
    post(member.worker, { kind: 'recycle' });
    this.#onEvent({ kind: 'module-recycled' });
  }

  /** A worker ended that was not asked to: its callers may repeat their calls, and a new one takes its place. */
  #lost(member: Member, reason: string): void {
    if (!this.#members.delete(member)) return;
    for (const { reject, timer } of member.pending.values()) {
      clearTimeout(timer);
      reject(new VaultError('TOKEN_UNAVAILABLE', 'The token worker ended.'));
    }
    if (this.#closing !== undefined) return;
    this.#onEvent({ kind: 'worker-died', reason });
    this.#restartLater();
  }

  #restartLater(): void {
    startTimer(() => {
      if (this.#closing !== undefined) return;
      this.#startWorker().then(
        () => this.#onEvent({ kind: 'worker-restarted' }),
        (error: unknown) => (isVaultError(error, 'PIN_REFUSED') ? this.#onEvent({ kind: 'pin-refused' }) : this.#restartLater()),
      );
    }, RESTART_DELAY).unref();
  }
}

const post = (worker: Worker, message: ToWorker): void => worker.postMessage(message);

/** Node 20 cannot run TypeScript in a worker: from the sources (tests), the compiled worker under dist/ is started. */
const entry = (): URL =>
  import.meta.url.endsWith('.ts') ? new URL('../../dist/daemon/token/worker.js', import.meta.url) : new URL('./worker.js', import.meta.url);
